//! Intel's matrix extension: where there is AMX, candle keeps Q4_K weights in two forms.
//!
//! One is for products of few rows, as everywhere. The other is for the many rows of a prompt, has a byte for each weight, and is made when
//! the first such product asks for it. Memory is counted and weights are prepared with both in mind.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::LazyLock;

use candle_core::quantized::GgmlDType;

/// Rows from which on a product takes the form for AMX (candle-core's `repack::try_matmul_f32`).
const ROWS: usize = 32;

/// Bytes of 256 weights in a Q4_K file, and in the form for AMX: the weights and two f32 for each 32 of them.
const STORED: u64 = 144;
const FOR_AMX: u64 = 320;

/// candle uses AMX under Linux alone, where the kernel has to allow it: its own list leaves out what is switched off.
static PRESENT: LazyLock<bool> = LazyLock::new(|| {
    let Ok(file) = File::open("/proc/cpuinfo") else { return false };
    let flags = BufReader::new(file).lines().map_while(Result::ok).find(|line| line.starts_with("flags"));
    cfg!(target_arch = "x86_64") && flags.is_some_and(|flags| lists_amx(&flags))
});

/// Returns the rows of the products that make candle build every form of a matrix.
pub fn rows_that_prepare(dtype: GgmlDType) -> &'static [usize] {
    // Two and not one: for a single row candle leaves some types unpacked.
    if has_second_form(dtype) { &[2, ROWS] } else { &[2] }
}

/// Returns how many bytes of memory quantised weights take that are `stored` bytes in their file.
pub fn in_memory(dtype: GgmlDType, stored: u64, on_cpu: bool) -> u64 {
    if on_cpu && has_second_form(dtype) { with_second_form(stored) } else { stored }
}

fn has_second_form(dtype: GgmlDType) -> bool {
    dtype == GgmlDType::Q4K && *PRESENT
}

fn with_second_form(stored: u64) -> u64 {
    stored + stored / STORED * FOR_AMX
}

/// Reads the line of flags as the kernel writes it.
fn lists_amx(flags: &str) -> bool {
    ["amx_tile", "amx_int8", "avx512_vnni"].iter().all(|wanted| flags.split_whitespace().any(|flag| flag == *wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_form_counts_where_the_processor_has_amx() {
        assert!(lists_amx("flags\t\t: fpu avx512f avx512_vnni amx_bf16 amx_tile amx_int8"));
        assert!(!lists_amx("flags\t\t: fpu avx512f avx512_vnni avx_vnni"));
        // As candle has it: 4096 weights in 5120 bytes.
        assert_eq!(with_second_form(16 * STORED), 16 * STORED + 5120);
        assert_eq!(in_memory(GgmlDType::Q4K, 144_000, false), 144_000, "GPUs keep what the file has");
        assert_eq!((in_memory(GgmlDType::Q8_0, 34_000, true), rows_that_prepare(GgmlDType::Q8_0)), (34_000, &[2][..]));
        let rows: &[usize] = if *PRESENT { &[2, ROWS] } else { &[2] };
        let counted = if *PRESENT { 144_000 + 320_000 } else { 144_000 };
        assert_eq!((in_memory(GgmlDType::Q4K, 144_000, true), rows_that_prepare(GgmlDType::Q4K)), (counted, rows));
    }
}
