//! What a script answers, as a record.

use oncegate::clock::Timestamp;
use oncegate::fingerprint::{FINGERPRINT_BYTES, Fingerprint};
use oncegate::hash::RecordId;
use oncegate::key::KeyDigest;
use oncegate::record::{About, Fence, OwnerId, Record, RecordState};
use oncegate::response::StoredResponse;
use oncegate::store::{StoreError, StoreErrorKind};
use redis::Value;

use super::error::{NAME, damaged};

/// The time, a word, and the record that stands.
pub(super) struct Reply {
    pub(super) at: Timestamp,
    pub(super) word: Vec<u8>,
    pub(super) record: Option<Record>,
}

impl Reply {
    /// Reads what `told` of the scripts answers. `written` is the response that the caller has just stored: the
    /// script does not send it back.
    pub(super) fn read(
        value: Value,
        id: RecordId,
        written: Option<StoredResponse>,
        doing: &'static str,
    ) -> Result<Self, StoreError> {
        let Value::Array(values) = value else {
            return Err(damaged(doing, "the answer is no list"));
        };
        let mut fields = Fields {
            values: values.into_iter(),
            doing,
        };
        let at = Timestamp::from_micros(fields.number()?);
        let word = fields.bytes()?;
        // Else another one stands there, and what the caller brought is not it.
        let written = written.filter(|_| word == b"applied");
        let record = if fields.values.len() == 0 {
            None
        } else {
            let record = fields.record(id, written, at);
            Some(record.map_err(|error| after(&word, error, doing))?)
        };
        Ok(Self { at, word, record })
    }
}

/// A record that cannot be read is no proof that nothing took effect, where this very call has written it.
fn after(word: &[u8], error: StoreError, doing: &'static str) -> StoreError {
    if matches!(word, b"created" | b"applied") {
        return StoreError::new(StoreErrorKind::Unavailable, NAME, doing).because(error);
    }
    error
}

struct Fields {
    values: std::vec::IntoIter<Value>,
    doing: &'static str,
}

impl Fields {
    fn record(
        &mut self,
        id: RecordId,
        written: Option<StoredResponse>,
        at: Timestamp,
    ) -> Result<Record, StoreError> {
        let owner = OwnerId::from_bytes(self.exactly()?);
        let fence = Fence::from_number(self.number()?);
        let revision = self.number()?;
        let state = self.bytes()?;
        let state_at = Timestamp::from_micros(self.number()?);
        let created_at = Timestamp::from_micros(self.number()?);
        let expires_at = Timestamp::from_micros(self.number()?);
        let purge_at = Timestamp::from_micros(self.number()?);
        let fingerprint = Fingerprint::from_bytes(self.exactly::<FINGERPRINT_BYTES>()?);
        let key_digest = KeyDigest::from_bytes(self.exactly()?);
        let operation = String::from_utf8(self.bytes()?)
            .map_err(|_| self.damage("the operation is no text"))?;
        let body = match self.values.next() {
            Some(Value::BulkString(bytes)) => Some(StoredResponse::from_bytes(bytes)),
            Some(_) | None => written,
        };
        let state = match (state.as_slice(), body) {
            (b"0", _) => RecordState::InFlight {
                lease_expires_at: state_at,
            },
            (b"1", _) => RecordState::Unknown { since: state_at },
            (b"2", Some(response)) => RecordState::Completed {
                completed_at: state_at,
                response,
            },
            // Redis has taken the body at its time: what is left is a tombstone.
            (b"2", None) if expires_at <= at => RecordState::Expired,
            (b"2", None) => return Err(self.damage("the body is gone before its time")),
            (b"3", _) => RecordState::Expired,
            _ => return Err(self.damage("the state is none")),
        };
        Ok(Record {
            id,
            owner,
            fence,
            revision,
            fingerprint,
            about: About {
                key_digest,
                operation: operation.into(),
            },
            created_at,
            state,
            expires_at,
            purge_at,
        })
    }

    fn bytes(&mut self) -> Result<Vec<u8>, StoreError> {
        match self.values.next() {
            Some(Value::BulkString(bytes)) => Ok(bytes),
            _ => Err(self.damage("a field is missing")),
        }
    }

    fn exactly<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let bytes = self.bytes()?;
        bytes
            .try_into()
            .map_err(|_| self.damage("a field has another length"))
    }

    fn number(&mut self) -> Result<u64, StoreError> {
        let bytes = self.bytes()?;
        std::str::from_utf8(&bytes)
            .ok()
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| self.damage("a field is no number"))
    }

    fn damage(&self, what: &'static str) -> StoreError {
        damaged(self.doing, what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands there is completed, and its body is gone before its time.
    fn without_its_body(word: &str) -> Value {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let bytes = |count: usize| Value::BulkString(vec![7; count]);
        Value::Array(vec![
            text("1000"),
            text(word),
            bytes(16),
            text("900"),
            text("2"),
            text("2"),
            text("950"),
            text("900"),
            text("2000"),
            text("3000"),
            bytes(FINGERPRINT_BYTES),
            bytes(8),
            text("POST /payments"),
            Value::Nil,
        ])
    }

    /// A holder that was taken over must not hear its own outcome back as what the record says.
    #[test]
    fn what_a_caller_brought_stands_in_for_a_body_only_if_it_was_stored() {
        let id = RecordId::from_bytes([1; 32]);
        let own = || Some(StoredResponse::from_bytes(vec![1, 2, 3]));
        let applied = Reply::read(without_its_body("applied"), id, own(), "update").unwrap();
        let record = applied.record.unwrap();
        assert!(
            matches!(record.state, RecordState::Completed { response, .. } if Some(&response) == own().as_ref())
        );
        for word in ["refused", "repeated"] {
            let error = Reply::read(without_its_body(word), id, own(), "update")
                .err()
                .unwrap();
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{word}");
        }
    }
}
