//! Digests of files and texts, in the hexadecimal digits of `sha256sum`.

use std::io::{Read, Write};

use sha2::{Digest, Sha256};

/// Returns bytes as hexadecimal digits, two for each.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the SHA-256 of bytes in hexadecimal digits.
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(bytes))
}

/// Digests what is read or written through it, so that nothing is read twice.
pub struct Digesting<T> {
    inner: T,
    digest: Sha256,
}

impl<T> Digesting<T> {
    /// Reads from `inner`, or writes to it.
    pub fn new(inner: T) -> Self {
        Self { inner, digest: Sha256::new() }
    }

    /// Returns the SHA-256 of all that went through, in hexadecimal digits.
    pub fn finish(self) -> String {
        hex(&self.digest.finalize())
    }
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.digest.update(&buffer[..read]);
        Ok(read)
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.digest.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_through_is_digested_whichever_way_it_goes() {
        // As `printf abc | sha256sum` has it.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let mut read = Digesting::new(&b"abc"[..]);
        let mut written = Digesting::new(Vec::<u8>::new());
        std::io::copy(&mut read, &mut written).expect("memory can be read and written");
        assert_eq!((written.inner.as_slice(), sha256("abc").as_str()), (&b"abc"[..], expected));
        assert_eq!([read.finish(), written.finish()], [expected, expected]);
    }
}
