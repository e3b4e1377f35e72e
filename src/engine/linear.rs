//! The matrices of a network and products with them, on every device.

use std::sync::Arc;

use candle_core::quantized::{QMatMul, QTensor};
use candle_core::{DType, Module, Tensor};

use super::cpu_ops::on_cpu;
use super::{amx, dense};

/// A matrix that activations are multiplied with: `x · wᵀ`.
#[derive(Clone)]
pub enum Linear {
    /// `[in, out]`: turned when it is loaded, because gemm would otherwise turn it again, on one thread, in every product.
    Dense(Tensor),
    /// `[out, in]`, as an embedding is stored: its rows are looked up as well.
    Embedding(Tensor),
    Quantised(Arc<QTensor>),
}

impl Linear {
    /// Computes `x · wᵀ` for `x` `[rows, in]`: in the type of dense weights, with quantised ones in f32.
    pub fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::Dense(weight) if on_cpu(x) => dense::product(x, weight),
            Self::Dense(weight) => x.to_dtype(weight.dtype())?.matmul(weight),
            Self::Embedding(weight) if on_cpu(x) => dense::product(x, &weight.t()?),
            Self::Embedding(weight) => x.to_dtype(weight.dtype())?.matmul(&weight.t()?),
            Self::Quantised(weight) => {
                let x = x.to_dtype(DType::F32)?;
                let product = QMatMul::QTensor(Arc::clone(weight));
                if x.device().is_cpu() && x.dim(0)? == 1 {
                    // A single row would make candle read the unpacked original of some types, which lies in the file and would come back
                    // into memory.
                    product.forward(&Tensor::cat(&[&x, &x], 0)?)?.narrow(0, 0, 1)
                } else if x.device().is_metal() {
                    // candle's kernels for Metal read from the start of the buffer wherever the rows begin in it.
                    product.forward(&x.force_contiguous()?)
                } else {
                    product.forward(&x)
                }
            }
        }
    }

    /// Returns `sum + x · wᵀ`, in place where that is possible: `sum` must not be used elsewhere.
    pub fn add_to(&self, sum: Tensor, x: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::Dense(weight) if on_cpu(x) => {
                dense::add_product(&sum, x, weight)?;
                Ok(sum)
            }
            _ => {
                let product = self.forward(x)?.to_dtype(sum.dtype())?;
                sum + product
            }
        }
    }

    /// Returns the bytes the weights take once in memory.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Dense(weight) | Self::Embedding(weight) => (weight.elem_count() * weight.dtype().size_in_bytes()) as u64,
            Self::Quantised(weight) => amx::in_memory(weight.dtype(), weight.storage_size_in_bytes() as u64, weight.device().is_cpu()),
        }
    }

    /// Looks rows up, as a token embedding does: `[ids, width]` in the network's type.
    pub fn rows(&self, ids: &Tensor, dtype: DType) -> candle_core::Result<Tensor> {
        match self {
            Self::Dense(weight) => weight.index_select(ids, 1)?.t()?.contiguous()?.to_dtype(dtype),
            Self::Embedding(weight) => weight.index_select(ids, 0)?.to_dtype(dtype),
            Self::Quantised(weight) => weight.embedding(ids)?.to_dtype(dtype),
        }
    }
}
