//! A small Redis client: commands are queued, sent together, and answered in order.

use anyhow::{Context, anyhow};
use bytes::BytesMut;
use redis_protocol::resp2::decode::decode_bytes_mut;
use redis_protocol::resp2::types::BytesFrame;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Longer than a node takes to say that it does not know.
const PATIENCE: Duration = Duration::from_secs(15);
const DIAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    output: Vec<u8>,
    input: BytesMut,
    scratch: Box<[u8]>,
}

impl Client {
    pub(crate) fn connect(address: &str) -> anyhow::Result<Self> {
        let resolved = address.to_socket_addrs()?.next().context("no such address")?;
        let stream = TcpStream::connect_timeout(&resolved, DIAL)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let scratch = vec![0; 64 << 10].into();
        Ok(Client { stream, output: Vec::new(), input: BytesMut::new(), scratch })
    }

    /// Queues a command.
    pub(crate) fn command(&mut self, words: &[&[u8]]) {
        write_header(&mut self.output, b'*', words.len());
        for word in words {
            write_header(&mut self.output, b'$', word.len());
            self.output.extend_from_slice(word);
            self.output.extend_from_slice(b"\r\n");
        }
    }

    /// Sends what is queued.
    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        self.stream.write_all(&self.output)?;
        self.output.clear();
        Ok(())
    }

    /// The next answer.
    pub(crate) fn reply(&mut self) -> anyhow::Result<BytesFrame> {
        loop {
            let decoded = decode_bytes_mut(&mut self.input);
            if let Some((frame, _, _)) = decoded.map_err(|error| anyhow!("{error}"))? {
                return Ok(frame);
            }
            match self.stream.read(&mut self.scratch)? {
                0 => return Err(anyhow!("the node hung up")),
                read => self.input.extend_from_slice(&self.scratch[..read]),
            }
        }
    }

    /// One command and its answer.
    pub(crate) fn ask(&mut self, words: &[&[u8]]) -> anyhow::Result<BytesFrame> {
        self.command(words);
        self.flush()?;
        self.reply()
    }

    /// One command whose answer is a number.
    pub(crate) fn integer(&mut self, words: &[&[u8]]) -> anyhow::Result<u64> {
        match self.ask(words)? {
            BytesFrame::Integer(number) => Ok(u64::try_from(number)?),
            other => Err(anyhow!("no number but {other:?}")),
        }
    }
}

fn write_header(output: &mut Vec<u8>, mark: u8, count: usize) {
    output.push(mark);
    output.extend_from_slice(count.to_string().as_bytes());
    output.extend_from_slice(b"\r\n");
}
