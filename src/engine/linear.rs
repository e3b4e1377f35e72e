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

/// Returns whether a quantised product is that of the same weights in f32, but for the rounding of the other factor to eight bits. What is no
/// number is not; largest values pass over it.
pub fn are_close(found: &Tensor, expected: &Tensor) -> candle_core::Result<bool> {
    let largest = |x: &Tensor| x.abs()?.max_all()?.to_scalar::<f32>();
    let is_number = found.sum_all()?.to_scalar::<f32>()?.is_finite();
    Ok(is_number && largest(&(found - expected)?)? <= 0.03 * largest(expected)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn a_product_that_was_not_computed_is_told_from_one_that_was() {
        let expected = Tensor::from_vec((0..12).map(|i| i as f32 - 5.0).collect::<Vec<f32>>(), (3, 4), &Device::Cpu).unwrap();
        let with = |change: &dyn Fn(usize, f32) -> f32| {
            let values: Vec<f32> = expected.flatten_all().unwrap().to_vec1().unwrap();
            let values: Vec<f32> = values.into_iter().enumerate().map(|(at, value)| change(at, value)).collect();
            are_close(&Tensor::from_vec(values, (3, 4), &Device::Cpu).unwrap(), &expected).unwrap()
        };
        assert!(with(&|_, value| value) && with(&|_, value| 1.01 * value));
        assert!(!with(&|_, _| 0.0) && !with(&|_, _| f32::NAN));
        assert!(!with(&|at, value| if at == 3 { f32::NAN } else { value }));
        assert!(!with(&|at, value| if at < 8 { value } else { 0.0 }), "a row is missing");
    }
}
