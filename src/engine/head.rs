//! The output head: what is needed of the logits of some tokens, without keeping the logits.

use candle_core::{D, DType, Device, Tensor};
use pulp::Arch;
use rayon::prelude::*;

use super::cpu_ops::on_cpu;
use super::linear::Linear;
use super::math::{RowStats, row_stats};
use super::product::{Into, MatrixRef, matmul};

/// What the head found at one token: the most probable next token and the log-probabilities that were asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NextToken {
    /// The most probable next token.
    pub best: u32,
    /// Natural-log probabilities, in the order asked for.
    pub log_probs: Vec<f32>,
}

/// Rows that share one pass over the head's weights: enough to pay for bringing these into gemm's order.
const ROWS: usize = 256;

/// Applies the head to normed hidden states `[rows, hidden]`; `wanted[i]` lists the next tokens whose log-probability is asked for at row `i`.
///
/// # Errors
/// Fails where the device does.
pub fn next_tokens(head: &Linear, hidden: &Tensor, wanted: &[&[u32]]) -> candle_core::Result<Vec<NextToken>> {
    let mut found = Vec::with_capacity(wanted.len());
    for (part, wanted) in wanted.chunks(ROWS).enumerate() {
        let hidden = hidden.narrow(0, part * ROWS, wanted.len())?;
        match head {
            Linear::Dense(_) | Linear::Embedding(_) if on_cpu(&hidden) => found.extend(in_tiles(head, &hidden, wanted)?),
            _ if on_cpu(&hidden) => found.extend(from_logits(head, &hidden, wanted)?),
            _ => found.extend(composed(head, &hidden, wanted)?),
        }
    }
    Ok(found)
}

/// Statistics of one row over one tile of the vocabulary.
struct Tile {
    stats: Vec<RowStats>,
    /// Row, position among its wanted tokens, logit.
    wanted: Vec<(usize, usize, f32)>,
}

/// Dense weights on the CPU: some columns of the logits at a time, while they are in the cache.
fn in_tiles(head: &Linear, hidden: &Tensor, wanted: &[&[u32]]) -> candle_core::Result<Vec<NextToken>> {
    /// Tokens of the vocabulary whose logits fit the second-level cache for [`ROWS`] rows.
    const TILE: usize = 512;
    let (Linear::Dense(weight) | Linear::Embedding(weight)) = head else { candle_core::bail!("tiles are for dense weights") };
    let hidden = hidden.contiguous()?;
    let (rows, width) = hidden.dims2()?;
    let ((hidden, hidden_layout), (weight, layout)) = (hidden.storage_and_layout(), weight.storage_and_layout());
    let (candle_core::Storage::Cpu(hidden), candle_core::Storage::Cpu(weight)) = (&*hidden, &*weight) else {
        candle_core::bail!("tiles are for the CPU")
    };
    let hidden = MatrixRef::new(&hidden.as_slice::<f32>()?[hidden_layout.start_offset()..], rows, width, width);
    let weight = &weight.as_slice::<f32>()?[layout.start_offset()..];
    let (across, down) = layout.shape().dims2()?;
    let (vocab, embedding) = match head {
        Linear::Embedding(_) => (across, true),
        _ => (down, false),
    };
    let arch = Arch::new();
    let tile = |buffers: &mut (Vec<f32>, Vec<f32>), start: usize| {
        let (logits, scratch) = buffers;
        let columns = TILE.min(vocab - start);
        logits.resize(rows * columns, 0.0);
        let part = if embedding {
            MatrixRef::new(&weight[start * width..], columns, width, width).transposed()
        } else {
            MatrixRef::new(&weight[start..], width, columns, vocab)
        };
        matmul(hidden, part, logits, columns, 1.0, Into::Fresh, 1);
        let stats = logits.chunks_exact(columns).map(|logits| row_stats(arch, logits, scratch)).collect();
        let inside = start..start + columns;
        let asked = wanted
            .iter()
            .enumerate()
            .flat_map(|(row, tokens)| tokens.iter().enumerate().map(move |(at, token)| (row, at, *token as usize)));
        let wanted =
            asked.filter(|(_, _, token)| inside.contains(token)).map(|(row, at, token)| (row, at, logits[row * columns + token - start]));
        Tile { stats, wanted: wanted.collect() }
    };
    let starts: Vec<usize> = (0..vocab).step_by(TILE).collect();
    let tiles: Vec<Tile> = starts.par_iter().map_init(Default::default, |buffers, &start| tile(buffers, start)).collect();

    let mut logits: Vec<Vec<f32>> = wanted.iter().map(|tokens| vec![f32::NEG_INFINITY; tokens.len()]).collect();
    for &(row, at, logit) in tiles.iter().flat_map(|tile| &tile.wanted) {
        logits[row][at] = logit;
    }
    let found = logits.into_iter().enumerate().map(|(row, logits)| {
        let parts = tiles.iter().zip(&starts).map(|(tile, start)| (tile.stats[row], *start as u32));
        let RowStats { argmax, log_sum, .. } = RowStats::joined(parts);
        NextToken { best: argmax, log_probs: logits.into_iter().map(|logit| logit - log_sum).collect() }
    });
    Ok(found.collect())
}

/// Quantised weights on the CPU: whole rows of logits, some at a time.
fn from_logits(head: &Linear, hidden: &Tensor, wanted: &[&[u32]]) -> candle_core::Result<Vec<NextToken>> {
    // 64 rows of a vocabulary of 150,000 are 40 MB.
    const AT_ONCE: usize = 64;
    let arch = Arch::new();
    let mut found = Vec::with_capacity(wanted.len());
    for (part, wanted) in wanted.chunks(AT_ONCE).enumerate() {
        let logits = head.forward(&hidden.narrow(0, part * AT_ONCE, wanted.len())?.contiguous()?)?.to_dtype(DType::F32)?.contiguous()?;
        let vocab = logits.dim(1)?;
        let (storage, layout) = logits.storage_and_layout();
        let candle_core::Storage::Cpu(storage) = &*storage else { candle_core::bail!("logits are not on the CPU") };
        let values = &storage.as_slice::<f32>()?[layout.start_offset()..];
        let row = |scratch: &mut Vec<f32>, (logits, wanted): (&[f32], &&[u32])| {
            let RowStats { argmax, log_sum, .. } = row_stats(arch, logits, scratch);
            NextToken { best: argmax, log_probs: wanted.iter().map(|&token| logits[token as usize] - log_sum).collect() }
        };
        found.par_extend(values.par_chunks(vocab).zip(wanted).map_init(Vec::new, row));
    }
    Ok(found)
}

/// The same out of candle's own operations, so that logits never leave a GPU.
fn composed(head: &Linear, hidden: &Tensor, wanted: &[&[u32]]) -> candle_core::Result<Vec<NextToken>> {
    let logits = head.forward(&hidden.contiguous()?)?.to_dtype(DType::F32)?;
    let best = logits.argmax_keepdim(D::Minus1)?;
    let max = logits.gather(&best, D::Minus1)?;
    let log_sum = (logits.broadcast_sub(&max)?.exp()?.sum_keepdim(D::Minus1)?.log()? + max)?;
    // Rows ask for different numbers of tokens; what fills the shorter ones is cut off again.
    let most = wanted.iter().map(|tokens| tokens.len()).max().unwrap_or(0).max(1);
    let asked = |tokens: &&[u32]| tokens.iter().copied().chain(std::iter::repeat(0)).take(most).collect::<Vec<u32>>();
    let index: Vec<u32> = wanted.iter().flat_map(asked).collect();
    let index = Tensor::from_vec(index, (wanted.len(), most), logits.device())?;
    let log_probs = logits.gather(&index, D::Minus1)?.broadcast_sub(&log_sum)?.to_device(&Device::Cpu)?.to_vec2::<f32>()?;
    // Fetched when all is asked for: each fetching waits for the device.
    let best = best.flatten_all()?.to_vec1::<u32>()?;
    let found = best.into_iter().zip(log_probs).zip(wanted).map(|((best, mut log_probs), wanted)| {
        log_probs.truncate(wanted.len());
        NextToken { best, log_probs }
    });
    Ok(found.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_finds_the_same() {
        let mut rng = fastrand::Rng::with_seed(17);
        let mut random = |rows: usize, columns: usize| {
            let values: Vec<f32> = (0..rows * columns).map(|_| rng.f32() * 3.4 - 1.7).collect();
            Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap()
        };
        let (hidden, weight) = (random(300, 24), random(1300, 24));
        let tokens: Vec<Vec<u32>> = (0..300_u32).map(|row| (0..row % 4).map(|i| (row * 37 + i * 511) % 1300).collect()).collect();
        let wanted: Vec<&[u32]> = tokens.iter().map(Vec::as_slice).collect();
        let embedding = Linear::Embedding(weight.clone());
        let expected = from_logits(&embedding, &hidden, &wanted).unwrap();
        let turned = Linear::Dense(weight.t().unwrap().contiguous().unwrap());
        let others =
            [next_tokens(&embedding, &hidden, &wanted), next_tokens(&turned, &hidden, &wanted), composed(&turned, &hidden, &wanted)];
        for found in others.map(Result::unwrap) {
            assert!(found.iter().zip(&expected).all(|(found, expected)| found.best == expected.best));
            close(&found, &expected, 1e-4);
        }
        // What GPUs do, also on the CPU where the network is in half precision. Of two tokens that are as good as equal either is the best.
        for dtype in [DType::BF16, DType::F16] {
            let (hidden, half) = (hidden.to_dtype(dtype).unwrap(), Linear::Embedding(weight.to_dtype(dtype).unwrap()));
            close(&next_tokens(&half, &hidden, &wanted).unwrap(), &expected, 0.15);
        }
    }

    fn close(found: &[NextToken], expected: &[NextToken], tolerance: f32) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found.log_probs.len(), expected.log_probs.len());
            assert!(found.log_probs.iter().zip(&expected.log_probs).all(|(a, b)| (a - b).abs() < tolerance), "{found:?} {expected:?}");
        }
    }
}
