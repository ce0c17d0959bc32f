//! Answers: read whole and held against what they must be. A fast wrong answer is no result.

use anyhow::{Context, Result, bail, ensure};

/// What an answer must say of itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mark {
    /// Whatever it likes.
    Any,
    /// Nothing: no idempotency is in force.
    Unmarked,
    /// `Idempotency-Status: executed`.
    Executed,
    /// `Idempotency-Status: replayed`, and `Idempotent-Replayed: true`.
    Replayed,
    /// No `Idempotent-Replayed`, from a program that knows no `Idempotency-Status`.
    FlagAbsent,
    /// `Idempotent-Replayed: true`, from such a program.
    FlagPresent,
}

/// Reads an answer from the front of `bytes`: its length, or nothing while it is not whole.
pub fn read(bytes: &[u8], mark: Mark) -> Result<Option<usize>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head_bytes) = head.parse(bytes)? else {
        return Ok(None);
    };
    let length = header(&head, "content-length").context("an answer without Content-Length")?;
    let whole = head_bytes + length.parse::<usize>().context("Content-Length")?;
    if bytes.len() < whole {
        return Ok(None);
    }
    ensure!(bytes.len() == whole, "more bytes than one answer");
    if head.code != Some(CREATED) {
        bail!(
            "answered {:?}: {}",
            head.code,
            String::from_utf8_lossy(&bytes[head_bytes..])
        );
    }
    verify(&head, mark)?;
    Ok(Some(whole))
}

fn verify(head: &httparse::Response<'_, '_>, mark: Mark) -> Result<()> {
    let status = header(head, "idempotency-status");
    let token = status.map(|status| status.split(';').next().unwrap_or_default());
    let flag = header(head, "idempotent-replayed") == Some("true");
    let as_it_must_be = match mark {
        Mark::Any => true,
        Mark::Unmarked | Mark::FlagAbsent => token.is_none() && !flag,
        Mark::Executed => token == Some("executed") && !flag,
        Mark::Replayed => token == Some("replayed") && flag,
        Mark::FlagPresent => flag,
    };
    ensure!(
        as_it_must_be,
        "an answer that must be {mark:?} says Idempotency-Status {status:?}, Idempotent-Replayed {flag}"
    );
    Ok(())
}

fn header<'h>(head: &httparse::Response<'h, '_>, name: &str) -> Option<&'h str> {
    let mut all = head.headers.iter();
    let found = all.find(|header| header.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(found.value).ok().map(str::trim)
}

const CREATED: u16 = 201;
const HEADERS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    const EXECUTED: &[u8] =
        b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\nidempotency-status: executed;fence=\"7\"\r\n\r\n{}";

    #[test]
    fn half_an_answer_is_none() {
        for end in 0..EXECUTED.len() {
            assert_eq!(read(&EXECUTED[..end], Mark::Executed).unwrap(), None);
        }
        assert_eq!(
            read(EXECUTED, Mark::Executed).unwrap(),
            Some(EXECUTED.len())
        );
    }

    #[test]
    fn an_answer_that_says_something_else_is_refused() {
        assert!(read(EXECUTED, Mark::Replayed).is_err());
        assert!(read(EXECUTED, Mark::Unmarked).is_err());
        let bare = b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n";
        assert!(read(bare, Mark::Unmarked).is_ok());
        assert!(read(bare, Mark::Executed).is_err());
        assert!(read(bare, Mark::FlagPresent).is_err());
    }

    #[test]
    fn another_status_is_refused() {
        let refused = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
        assert!(read(refused, Mark::Unmarked).is_err());
    }
}
