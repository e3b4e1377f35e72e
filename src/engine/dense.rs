//! Products with dense f32 weights on the CPU.
//!
//! candle's own product asks the operating system for the number of cores every time and leaves adding to another pass; these call gemm on
//! the current rayon pool and add in place.

use candle_core::{CpuStorage, CustomOp2, InplaceOp3, Layout, Result, Shape, Tensor, bail};

use super::product::{Into, MatrixRef, matmul, product_of};

/// Returns `x · weight` for `x` `[rows, in]` and `weight` `[in, out]`, which may be a transposed view.
pub fn product(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    x.apply_op2_no_bwd(weight, &Product)
}

/// Adds `x · weight` to `sum`.
pub fn add_product(sum: &Tensor, x: &Tensor, weight: &Tensor) -> Result<()> {
    sum.inplace_op3(x, weight, &Product)
}

struct Product;

fn matrix<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<MatrixRef<'a>> {
    let (rows, columns) = layout.shape().dims2()?;
    let [row_stride, column_stride] = *layout.stride() else { bail!("a product needs matrices") };
    Ok(MatrixRef { data: &storage.as_slice::<f32>()?[layout.start_offset()..], rows, columns, row_stride, column_stride })
}

impl CustomOp2 for Product {
    fn name(&self) -> &'static str {
        "product"
    }

    fn cpu_fwd(&self, x: &CpuStorage, x_layout: &Layout, weight: &CpuStorage, weight_layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, weight) = (matrix(x, x_layout)?, matrix(weight, weight_layout)?);
        if x.columns != weight.rows {
            bail!("a row of {} values cannot be multiplied with {} rows of weights", x.columns, weight.rows);
        }
        let out = product_of(x, weight, rayon::current_num_threads());
        Ok((CpuStorage::F32(out), Shape::from((x.rows, weight.columns))))
    }
}

impl InplaceOp3 for Product {
    fn name(&self) -> &'static str {
        "add-product"
    }

    fn cpu_fwd(
        &self,
        sum: &mut CpuStorage,
        sum_layout: &Layout,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<()> {
        let (x, weight) = (matrix(x, x_layout)?, matrix(weight, weight_layout)?);
        let (CpuStorage::F32(sum), Some((start, end))) = (sum, sum_layout.contiguous_offsets()) else {
            bail!("sums are rows of adjacent f32 values")
        };
        if x.columns != weight.rows || end - start != x.rows * weight.columns {
            bail!(
                "a product of {}x{} and {}x{} does not fit a sum of {} values",
                x.rows,
                x.columns,
                weight.rows,
                weight.columns,
                end - start
            );
        }
        matmul(x, weight, &mut sum[start..end], weight.columns, 1.0, Into::Sum, rayon::current_num_threads());
        Ok(())
    }
}
