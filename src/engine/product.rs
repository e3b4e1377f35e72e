//! Products of matrices that lie somewhere in slices: gemm, called directly.

/// A matrix inside a slice: element `(i, j)` stands at `i * row_stride + j * column_stride`.
#[derive(Clone, Copy)]
pub struct MatrixRef<'a> {
    pub data: &'a [f32],
    pub rows: usize,
    pub columns: usize,
    pub row_stride: usize,
    pub column_stride: usize,
}

impl<'a> MatrixRef<'a> {
    /// Returns a matrix whose rows lie `row_stride` apart.
    pub fn new(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    /// Returns the same numbers seen as the transposed matrix.
    pub fn transposed(self) -> Self {
        Self { rows: self.columns, columns: self.rows, row_stride: self.column_stride, column_stride: self.row_stride, ..self }
    }

    fn fits(&self) -> bool {
        self.rows == 0 || self.columns == 0 || (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride < self.data.len()
    }
}

/// What becomes of the numbers that stand where a product is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Into {
    /// They are replaced.
    Fresh,
    /// The product is added to them.
    Sum,
}

/// Computes `out = scale * (a · b)`, or adds it to `out`, which has `out_stride` values a row, on `threads` threads of the current pool.
///
/// # Panics
/// Panics when the shapes do not fit, which is a defect of the caller.
pub fn matmul(a: MatrixRef<'_>, b: MatrixRef<'_>, out: &mut [f32], out_stride: usize, scale: f32, into: Into, threads: usize) {
    assert!(a.columns == b.rows && a.fits() && b.fits(), "operands of a matrix product do not fit");
    assert!(a.rows == 0 || (a.rows - 1) * out_stride + b.columns <= out.len(), "the result of a matrix product does not fit");
    if a.rows > 0 && b.columns > 0 {
        // SAFETY: both asserts above hold every index gemm can form inside the three slices, and `out` is borrowed mutably.
        #[expect(unsafe_code, reason = "gemm's interface is raw pointers")]
        unsafe {
            write_product(a, b, out.as_mut_ptr(), out_stride, scale, into, threads);
        }
    }
}

/// Returns `a · b`, row after row.
///
/// # Panics
/// Panics when the shapes do not fit, which is a defect of the caller.
pub fn product_of(a: MatrixRef<'_>, b: MatrixRef<'_>, threads: usize) -> Vec<f32> {
    assert!(a.columns == b.rows && a.fits() && b.fits(), "operands of a matrix product do not fit");
    let len = a.rows * b.columns;
    let mut out = Vec::with_capacity(len);
    if len > 0 {
        // SAFETY: the operands fit by the assert, `out` has room for all rows, and gemm writes each of them without reading it.
        #[expect(unsafe_code, reason = "clearing the memory first costs a pass over it")]
        unsafe {
            write_product(a, b, out.as_mut_ptr(), b.columns, 1.0, Into::Fresh, threads);
            out.set_len(len);
        }
    }
    out
}

/// Calls gemm.
///
/// # Safety
/// `a` and `b` fit each other and their slices; `out` has `a.rows` rows of `b.columns` values, `out_stride` apart, which are set where the
/// product is added to them.
#[expect(unsafe_code, reason = "gemm's interface is raw pointers")]
unsafe fn write_product(a: MatrixRef<'_>, b: MatrixRef<'_>, out: *mut f32, out_stride: usize, scale: f32, into: Into, threads: usize) {
    let parallelism = if threads > 1 { gemm::Parallelism::Rayon(threads) } else { gemm::Parallelism::None };
    // SAFETY: as this function asks of its callers.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            out,
            1,
            out_stride as isize,
            into == Into::Sum,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}
