//! The body of an answer.

use std::io::{self, BufReader, Read};
use std::net::TcpStream;

use super::line;

/// A body as it comes, whichever way the node says where it ends.
#[derive(Debug)]
pub(super) struct Body {
    stream: BufReader<TcpStream>,
    framing: Framing,
}

#[derive(Debug)]
enum Framing {
    /// So many bytes are still to come.
    Length(u64),
    /// So many bytes of this chunk are still to come, and then more chunks.
    Chunk(u64),
    /// No more.
    Over,
}

impl Body {
    pub(super) fn new(
        stream: BufReader<TcpStream>,
        headers: &[(String, String)],
        has_body: bool,
    ) -> Self {
        let value = |name| headers.iter().find(|header| header.0 == name);
        let framing = match (value("transfer-encoding"), value("content-length")) {
            _ if !has_body => Framing::Over,
            (Some(_), _) => Framing::Chunk(0),
            (None, Some((_, length))) => Framing::Length(length.parse().expect("it is a number")),
            (None, None) => Framing::Over,
        };
        Self { stream, framing }
    }

    fn take(&mut self, buffer: &mut [u8], left: u64) -> io::Result<u64> {
        let taken = (&mut self.stream).take(left).read(buffer)?;
        if taken == 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(taken as u64)
    }

    fn next_chunk(&mut self) -> io::Result<u64> {
        let size = line(&mut self.stream)?;
        let size = u64::from_str_radix(&size, 16);
        let size = size.map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        if size == 0 {
            line(&mut self.stream)?;
            self.framing = Framing::Over;
        }
        Ok(size)
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let taken = match self.framing {
            Framing::Over | Framing::Length(0) => 0,
            Framing::Length(left) => {
                let taken = self.take(buffer, left)?;
                self.framing = Framing::Length(left - taken);
                taken
            }
            Framing::Chunk(0) => match self.next_chunk()? {
                0 => 0,
                left => {
                    self.framing = Framing::Chunk(left);
                    return self.read(buffer);
                }
            },
            Framing::Chunk(left) => {
                let taken = self.take(buffer, left)?;
                if taken == left {
                    line(&mut self.stream)?;
                }
                self.framing = Framing::Chunk(left - taken);
                taken
            }
        };
        Ok(usize::try_from(taken).expect("no more than the buffer holds"))
    }
}
