//! As much of a Redis client as a load needs.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    request: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: &str) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Client { stream: BufReader::new(stream), request: Vec::new() })
    }

    /// Whether the write was acknowledged.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> bool {
        self.ask(&["SET", key, value]).is_ok_and(|answer| answer == "+OK")
    }

    /// Whether all of these writes, sent in one breath, were acknowledged.
    pub(crate) fn set_all(&mut self, pairs: &[(String, String)]) -> io::Result<bool> {
        self.request.clear();
        for (key, value) in pairs {
            let (keys, values) = (key.len(), value.len());
            write!(
                self.request,
                "*3\r\n$3\r\nSET\r\n${keys}\r\n{key}\r\n${values}\r\n{value}\r\n"
            )?;
        }
        self.stream.get_mut().write_all(&self.request)?;
        let mut all = true;
        for _ in pairs {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            all &= line.trim_end() == "+OK";
        }
        Ok(all)
    }

    /// Whether the read was served.
    pub(crate) fn get(&mut self, key: &str) -> bool {
        self.ask(&["GET", key]).is_ok_and(|answer| answer.starts_with('$'))
    }

    /// How many of these keys are not there.
    pub(crate) fn missing(&mut self, keys: &[String]) -> io::Result<usize> {
        let words: Vec<&str> =
            ["MGET"].into_iter().chain(keys.iter().map(String::as_str)).collect();
        self.ask(&words)?;
        let mut missing = 0;
        for _ in keys {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            match line.trim_end().strip_prefix('$').and_then(|bytes| bytes.parse::<usize>().ok()) {
                Some(bytes) => self.stream.read_exact(&mut vec![0; bytes + 2])?,
                None => missing += 1,
            }
        }
        Ok(missing)
    }

    /// The first line of the answer; the string that follows is read and dropped.
    fn ask(&mut self, words: &[&str]) -> io::Result<String> {
        self.request.clear();
        write!(self.request, "*{}\r\n", words.len())?;
        for word in words {
            write!(self.request, "${}\r\n{word}\r\n", word.len())?;
        }
        self.stream.get_mut().write_all(&self.request)?;
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end().to_owned();
        if let Some(bytes) = line.strip_prefix('$').and_then(|bytes| bytes.parse::<usize>().ok()) {
            self.stream.read_exact(&mut vec![0; bytes + 2])?;
        }
        Ok(line)
    }
}
