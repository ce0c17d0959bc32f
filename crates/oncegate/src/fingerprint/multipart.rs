//! The canonical digest of a multipart body (RFC 2046, section 5.1): its parts without the
//! boundary, which client libraries choose anew for every attempt.
//!
//! Promises: the body streams through in any pieces, of any size, in bounded memory. A body that
//! is not well-formed to the letter has no canonical digest. The boundary that the media type
//! declares is the only one that counts, whatever looks like another in the parts.
//!
//! Deliberately absent: decoding, and leaving out what RFC 2046 lets a reader ignore: what stands
//! before the first and after the last part may be a part to a sloppier parser. Transfer
//! encodings, nested multiparts, file names and the order of parts and of their headers are
//! compared as they are written.

use self::Tail::{Cr, Dash, Padding, Start};
use crate::hash::{Digest, update_framed};

/// Reads the parts of one body.
pub(super) struct Multipart {
    /// `CRLF--boundary`. Its first byte occurs nowhere else in it, which keeps the search simple:
    /// bytes that began to match and then did not cannot hold the beginning of another match.
    delimiter: Vec<u8>,
    /// How many bytes of the delimiter ended the last piece.
    matched: usize,
    state: State,
    /// The header block of the part that is being read.
    block: Vec<u8>,
    /// What was read since the last delimiter or header block.
    content: blake3::Hasher,
    parts: blake3::Hasher,
    part_count: u64,
}

/// What is being read.
#[derive(Clone, Copy)]
enum State {
    /// What stands before the first part.
    Preamble,
    /// What follows the delimiter on its line.
    Delimiter(Tail),
    Headers,
    Body,
    /// What stands after the last part.
    Epilogue,
    Malformed,
}

/// How much of the rest of a delimiter's line was read.
#[derive(Clone, Copy)]
enum Tail {
    Start,
    Dash,
    Padding { is_last: bool },
    Cr { is_last: bool },
}

impl Multipart {
    /// Starts a body of this media type, or does not if it names no usable boundary.
    pub(super) fn new(content_type: &[u8], parts: blake3::Hasher) -> Option<Self> {
        let boundary = boundary(content_type)?;
        Some(Self {
            delimiter: [b"\r\n--", &*boundary].concat(),
            // The first delimiter needs no line break before it.
            matched: 2,
            state: State::Preamble,
            block: Vec::new(),
            content: blake3::Hasher::new(),
            parts,
            part_count: 0,
        })
    }

    pub(super) fn update(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let used = match self.state {
                State::Preamble | State::Body => self.search(piece),
                State::Delimiter(tail) => self.end_line(tail, piece[0]),
                State::Headers => self.read_headers(piece),
                State::Epilogue => {
                    self.content.update(piece);
                    return;
                }
                State::Malformed => return,
            };
            piece = &piece[used..];
        }
    }

    /// The digest, if the body was complete and well-formed.
    pub(super) fn finish(mut self) -> Option<Digest> {
        match self.state {
            State::Epilogue | State::Delimiter(Padding { is_last: true }) => {
                self.parts.update(self.content.finalize().as_bytes());
                self.parts.update(&[END]);
                self.parts.update(&self.part_count.to_le_bytes());
                Some(Digest::first_half(self.parts.finalize()))
            }
            State::Preamble
            | State::Delimiter(Start | Dash | Padding { is_last: false } | Cr { .. })
            | State::Headers
            | State::Body
            | State::Malformed => None,
        }
    }

    /// Looks for the delimiter, takes in what stands before it, and says how far it came.
    fn search(&mut self, piece: &[u8]) -> usize {
        let mut at = 0;
        if self.matched > 0 {
            let wanted = &self.delimiter[self.matched..];
            let common = common_prefix(wanted, piece);
            if common == wanted.len() {
                self.end_content();
                return common;
            }
            if common == piece.len() {
                self.matched += common;
                return common;
            }
            // It was content after all; those of its bytes that came before have to be made up.
            self.content.update(&self.delimiter[..self.matched]);
            self.matched = 0;
            at = common;
        }
        loop {
            let Some(offset) = piece[at..].iter().position(|byte| *byte == b'\r') else {
                self.content.update(piece);
                return piece.len();
            };
            let start = at + offset;
            let common = common_prefix(&self.delimiter, &piece[start..]);
            if common == self.delimiter.len() {
                self.content.update(&piece[..start]);
                self.end_content();
                return start + common;
            }
            if start + common == piece.len() {
                self.content.update(&piece[..start]);
                self.matched = common;
                return piece.len();
            }
            at = start + common;
        }
    }

    fn end_content(&mut self) {
        self.parts.update(self.content.finalize().as_bytes());
        self.content.reset();
        self.matched = 0;
        self.state = State::Delimiter(Start);
    }

    /// After the delimiter: `--` if it is the last, spaces, and the line break. Anything else
    /// might be a longer boundary to one parser and garbage to the next.
    fn end_line(&mut self, tail: Tail, byte: u8) -> usize {
        self.state = match (tail, byte) {
            (Start, b'-') => State::Delimiter(Dash),
            (Dash, b'-') => State::Delimiter(Padding { is_last: true }),
            (Start, b' ' | b'\t') => State::Delimiter(Padding { is_last: false }),
            (Padding { is_last }, b' ' | b'\t') => State::Delimiter(Padding { is_last }),
            (Start, b'\r') => State::Delimiter(Cr { is_last: false }),
            (Padding { is_last }, b'\r') => State::Delimiter(Cr { is_last }),
            (Cr { is_last: false }, b'\n') => State::Headers,
            (Cr { is_last: true }, b'\n') => State::Epilogue,
            (Start | Dash | Padding { .. } | Cr { .. }, _) => State::Malformed,
        };
        1
    }

    /// Collects the header block, line by line, up to its empty line.
    fn read_headers(&mut self, piece: &[u8]) -> usize {
        let line_end = piece.iter().position(|byte| *byte == b'\n');
        let used = line_end.map_or(piece.len(), |at| at + 1);
        if self.block.len() + used > PART_HEADERS_BYTES_MAX {
            self.state = State::Malformed;
            return used;
        }
        self.block.extend_from_slice(&piece[..used]);
        if self.block == b"\r\n" || self.block.ends_with(b"\r\n\r\n") {
            self.state = match self.take_headers() {
                Some(()) => State::Body,
                None => State::Malformed,
            };
            self.block.clear();
        }
        used
    }

    /// Takes the headers of a part in: names in lower case, values without the spaces around them.
    fn take_headers(&mut self) -> Option<()> {
        let block = self.block.strip_suffix(b"\r\n")?;
        self.part_count += 1;
        self.parts.update(&[PART]);
        for line in block.split_inclusive(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\r\n")?;
            // A delimiter here means that the part before ended without an empty line; folded
            // lines and bare line breaks are read differently by different parsers.
            let is_odd = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
            if line.starts_with(&self.delimiter[2..]) || line.iter().any(is_odd) {
                return None;
            }
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = &line[..colon];
            if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
                return None;
            }
            self.parts.update(&[HEADER]);
            update_framed(&mut self.parts, &name.to_ascii_lowercase());
            update_framed(&mut self.parts, line[colon + 1..].trim_ascii());
        }
        self.parts.update(&[BODY]);
        Some(())
    }
}

fn common_prefix(one: &[u8], two: &[u8]) -> usize {
    one.iter()
        .zip(two)
        .take_while(|(one, two)| one == two)
        .count()
}

/// The boundary parameter, if there is exactly one and it is allowed.
fn boundary(content_type: &[u8]) -> Option<Vec<u8>> {
    let mut rest = &content_type[content_type.iter().position(|byte| *byte == b';')? + 1..];
    let mut boundary = None;
    loop {
        rest = rest.trim_ascii_start();
        let end = rest.iter().position(|byte| matches!(byte, b';' | b'='));
        let Some(end) = end.filter(|end| rest[*end] == b'=') else {
            // What has no `=` can only be an empty place between two semicolons.
            let (skipped, after) = rest.split_at(end.unwrap_or(rest.len()));
            if !skipped.is_empty() {
                return None;
            }
            match after.split_first() {
                Some((_, after)) => rest = after,
                None => return boundary,
            }
            continue;
        };
        let (value, after) = parameter_value(&rest[end + 1..])?;
        if rest[..end].eq_ignore_ascii_case(b"boundary")
            && (!is_boundary(&value) || boundary.replace(value).is_some())
        {
            return None;
        }
        rest = after;
    }
}

/// Reads a value, quoted or not, and what follows the semicolon after it.
fn parameter_value(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let end = text
            .iter()
            .position(|byte| *byte == b';')
            .unwrap_or(text.len());
        return Some((
            text[..end].trim_ascii().to_vec(),
            text.get(end + 1..).unwrap_or_default(),
        ));
    };
    let mut value = Vec::new();
    let mut bytes = quoted.iter();
    loop {
        match bytes.next()? {
            b'"' => break,
            b'\\' => value.push(*bytes.next()?),
            byte => value.push(*byte),
        }
    }
    match bytes.as_slice().trim_ascii_start() {
        [] => Some((value, &[])),
        [b';', after @ ..] => Some((value, after)),
        _ => None,
    }
}

fn is_boundary(boundary: &[u8]) -> bool {
    (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len())
        && !boundary.ends_with(b" ")
        && boundary
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(byte))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// What RFC 2046 allows.
const BOUNDARY_BYTES_MAX: usize = 70;
/// The header block of one part, its empty line included.
const PART_HEADERS_BYTES_MAX: usize = 16 * 1024;
// What is hashed: the preamble; for each part PART, then HEADER, name and value of each header,
// then BODY and its hash; the epilogue, END, and how many parts there were.
const PART: u8 = b'P';
const HEADER: u8 = b'H';
const BODY: u8 = b'B';
const END: u8 = b'E';

#[cfg(test)]
mod tests;
