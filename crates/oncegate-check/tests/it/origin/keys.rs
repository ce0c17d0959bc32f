//! How the origin reads keys: right, and wrong in all the ways in which servers do.

use axum::http::request::Parts;

use super::accent::key_header;
use super::{Defect, Trailers};

/// A key line that holds no key.
#[derive(Debug)]
pub(super) struct NoKey;

/// The key, if there is one.
pub(super) fn key(parts: &Parts, defect: Defect) -> Result<Option<String>, NoKey> {
    let name = key_header(defect);
    let trailers = parts
        .extensions
        .get()
        .filter(|_| defect == Defect::TrailerIsKey);
    let trailers = trailers.and_then(|Trailers(trailers)| trailers.as_ref());
    let of_trailers = trailers.map(|trailers| trailers.get_all(name).iter());
    let lines: Vec<&[u8]> = parts
        .headers
        .get_all(name)
        .iter()
        .chain(of_trailers.into_iter().flatten())
        .map(|line| line.as_bytes())
        .collect();
    match lines.as_slice() {
        [] => Ok(None),
        [line] => one(line, defect),
        _ if defect == Defect::TwoLinesAreNone => Ok(None),
        [line, ..] if defect == Defect::AnythingIsKey => one(line, defect),
        _ => Err(NoKey),
    }
}

fn one(line: &[u8], defect: Defect) -> Result<Option<String>, NoKey> {
    if matches!(defect, Defect::QuotesAreKey | Defect::AnythingIsKey) {
        return Ok(Some(String::from_utf8_lossy(line).into_owned()));
    }
    if line.is_empty() && defect == Defect::EmptyIsNone {
        return Ok(None);
    }
    let Ok(key) = unquoted(line, defect) else {
        let is_none = defect == Defect::MalformedIsNone && !line.is_empty();
        return if is_none { Ok(None) } else { Err(NoKey) };
    };
    sized(key, defect)
}

fn sized(mut key: String, defect: Defect) -> Result<Option<String>, NoKey> {
    let longest = if defect == Defect::ShortKeys {
        254
    } else {
        255
    };
    if key.len() > longest {
        if defect == Defect::LongIsNone {
            return Ok(None);
        }
        if defect != Defect::CutsKeys {
            return Err(NoKey);
        }
        key.truncate(longest);
    }
    if defect == Defect::CutsPermittedKeys {
        key.truncate(64);
    }
    if defect == Defect::FoldsCase {
        key.make_ascii_lowercase();
    }
    Ok(Some(key))
}

fn unquoted(line: &[u8], defect: Defect) -> Result<String, NoKey> {
    let text = std::str::from_utf8(line).map_err(|_| NoKey)?;
    let key = match text.strip_prefix('"') {
        Some(rest) => {
            let (key, parameters) = rest.split_once('"').ok_or(NoKey)?;
            if !parameters.is_empty() && !parameters.starts_with(';') {
                return Err(NoKey);
            }
            if defect == Defect::ParametersAreKey {
                return Ok(text.replace('"', ""));
            }
            key
        }
        None => text,
    };
    let bare = |letter: char| letter.is_ascii_graphic() && !"\",;\\".contains(letter);
    if key.is_empty() || !key.chars().all(bare) {
        return Err(NoKey);
    }
    Ok(key.to_owned())
}
