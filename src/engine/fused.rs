//! Steps of a layer in one operation each, where a build and a device have kernels for them; see `fused_kernels`.

#[cfg(not(feature = "cuda"))]
use candle_core::{DType, Device, Result, Tensor, bail};

#[cfg(feature = "cuda")]
pub use super::fused_kernels::{add_and_rotate, gated, masked_softmax, work_on};

/// How the rows of scores follow each other: so many sequences, and so many tokens of each.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    pub sequences: usize,
    pub longest: usize,
}

/// A build without CUDA has no such kernels.
#[cfg(not(feature = "cuda"))]
pub fn work_on(_: &Device, _: DType) -> bool {
    false
}

#[cfg(not(feature = "cuda"))]
pub fn gated(_: &Tensor, _: &Tensor) -> Result<Tensor> {
    bail!("this build has no kernels for CUDA")
}

#[cfg(not(feature = "cuda"))]
pub fn add_and_rotate(_: &Tensor, _: &Tensor, _: &Tensor, _: &Tensor) -> Result<Tensor> {
    bail!("this build has no kernels for CUDA")
}

#[cfg(not(feature = "cuda"))]
pub fn masked_softmax(_: &Tensor, _: &Tensor, _: Rows) -> Result<Tensor> {
    bail!("this build has no kernels for CUDA")
}
