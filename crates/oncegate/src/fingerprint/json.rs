//! The canonical form of a JSON text (RFC 8259): equal for two texts exactly if they say the same.
//!
//! Promises: numbers are compared as they are written and never become floats; strings are
//! compared unescaped; the order of members does not count. A text that two parsers could read
//! differently (duplicate names, lone surrogates, bad UTF-8) has no canonical form. Time and
//! memory stay linear in the text, and the depth is bounded.
//!
//! Deliberately absent: RFC 8785, whose numbers are floats: 9007199254740993 and
//! 9007199254740992 are two payments.

use super::pointer::{JsonPointer, Token};

/// Writes the canonical form behind the prefix: a text in which every value says by its first byte
/// what it is and by its length or its closing byte where it ends, so that no two values read the
/// same.
pub(super) fn canonical(
    body: &[u8],
    exclude: &[JsonPointer],
    prefix: Vec<u8>,
    key: &[u8; 32],
) -> Option<Vec<u8>> {
    if body.len() > JSON_BYTES_MAX {
        return None;
    }
    // Checked once for all, so that the bytes of strings need not be looked at again.
    let text = str::from_utf8(body).ok()?.as_bytes();
    let mut writer = Writer {
        text,
        at: 0,
        out: prefix,
        members: Vec::new(),
        sorted: Vec::new(),
        key,
    };
    writer.out.reserve(body.len());
    let start = writer.out.len();
    let excluded: Vec<&[Token]> = exclude.iter().map(JsonPointer::tokens).collect();
    writer.skip_space();
    if excluded.iter().any(|tokens| tokens.is_empty()) {
        writer.value(0, &[])?;
        writer.out.truncate(start);
        writer.out.push(EXCLUDED);
    } else {
        writer.value(0, &excluded)?;
    }
    writer.skip_space();
    (writer.at == text.len()).then_some(writer.out)
}

/// Reads the text and writes its canonical form behind it. `None` means: it has none.
struct Writer<'a> {
    text: &'a [u8],
    at: usize,
    out: Vec<u8>,
    /// The members of the objects that are open: a stack, so that objects need no lists of theirs.
    members: Vec<Member>,
    sorted: Vec<u8>,
    key: &'a [u8; 32],
}

/// Where a member stands in what was written.
struct Member {
    start: usize,
    name_end: usize,
    end: usize,
    is_excluded: bool,
}

/// What is left of the exclusions, a level down.
struct Step<'p> {
    is_excluded: bool,
    deeper: Vec<&'p [Token]>,
}

impl Writer<'_> {
    /// Recursion is bounded by `DEPTH_MAX`, and its frames are small.
    fn value(&mut self, depth: usize, exclude: &[&[Token]]) -> Option<()> {
        match self.peek()? {
            b'{' if depth < DEPTH_MAX => self.object(depth + 1, exclude),
            b'[' if depth < DEPTH_MAX => self.array(depth + 1, exclude),
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            b'n' => self.word(b"null"),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            _ => None,
        }
    }

    fn object(&mut self, depth: usize, exclude: &[&[Token]]) -> Option<()> {
        let (start, first_member) = (self.out.len(), self.members.len());
        self.at += 1;
        self.out.push(b'{');
        self.skip_space();
        let mut is_open = !self.eat(b'}');
        while is_open {
            self.member(depth, exclude)?;
            self.skip_space();
            is_open = self.eat(b',');
            if is_open {
                self.skip_space();
            } else {
                self.expect(b'}')?;
            }
        }
        self.sort_members(first_member)?;
        self.out.push(b'}');
        self.fold(start);
        Some(())
    }

    fn member(&mut self, depth: usize, exclude: &[&[Token]]) -> Option<()> {
        let start = self.out.len();
        if self.peek()? != b'"' {
            return None;
        }
        self.string()?;
        let name_end = self.out.len();
        self.skip_space();
        self.expect(b':')?;
        self.skip_space();
        let name = &self.out[start + STRING_HEAD_BYTES..];
        let step = Step::down(exclude, |token| token.is_name(name));
        self.value(depth, &step.deeper)?;
        let end = self.out.len();
        self.members.push(Member {
            start,
            name_end,
            end,
            is_excluded: step.is_excluded,
        });
        Some(())
    }

    /// Brings the members that were just written into one order, drops those that do not count,
    /// and gives up on duplicate names: some parsers take the first, some the last.
    fn sort_members(&mut self, first_member: usize) -> Option<()> {
        let Self {
            out,
            members,
            sorted,
            ..
        } = self;
        let own = &mut members[first_member..];
        own.sort_unstable_by(|one, two| one.name(out).cmp(two.name(out)));
        if own
            .windows(2)
            .any(|pair| pair[0].name(out) == pair[1].name(out))
        {
            return None;
        }
        if own.iter().any(|member| member.is_excluded) || !own.is_sorted_by_key(|m| m.start) {
            let start = own.iter().map(|member| member.start).min()?;
            sorted.clear();
            for member in own.iter().filter(|member| !member.is_excluded) {
                sorted.extend_from_slice(&out[member.start..member.end]);
            }
            out.truncate(start);
            out.extend_from_slice(sorted);
        }
        members.truncate(first_member);
        Some(())
    }

    /// Puts a hash in place of a large object. Without it every level of nesting would copy
    /// everything below it once more.
    fn fold(&mut self, start: usize) {
        if self.out.len() - start > FOLD_ABOVE_BYTES {
            let hash = blake3::keyed_hash(self.key, &self.out[start..]);
            self.out.truncate(start);
            self.out.push(FOLDED);
            self.out.extend_from_slice(hash.as_bytes());
        }
    }

    fn array(&mut self, depth: usize, exclude: &[&[Token]]) -> Option<()> {
        self.at += 1;
        self.out.push(b'[');
        self.skip_space();
        let mut is_open = !self.eat(b']');
        let mut index = 0;
        while is_open {
            let start = self.out.len();
            let step = Step::down(exclude, |token| token.is_index(index));
            self.value(depth, &step.deeper)?;
            if step.is_excluded {
                // The place stays: what follows must not move up.
                self.out.truncate(start);
                self.out.push(EXCLUDED);
            }
            index += 1;
            self.skip_space();
            is_open = self.eat(b',');
            if is_open {
                self.skip_space();
            } else {
                self.expect(b']')?;
            }
        }
        self.out.push(b']');
        Some(())
    }

    fn string(&mut self) -> Option<()> {
        self.at += 1;
        let start = self.open(b'"');
        loop {
            let rest = &self.text[self.at..];
            let run = rest
                .iter()
                .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))?;
            self.out.extend_from_slice(&rest[..run]);
            self.at += run + 1;
            match rest[run] {
                b'"' => return self.close(start),
                b'\\' => self.escape()?,
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        let kind = self.peek()?;
        self.at += 1;
        let unescaped = match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => self.unicode()?,
            _ => return None,
        };
        self.out
            .extend_from_slice(unescaped.encode_utf8(&mut [0; 4]).as_bytes());
        Some(())
    }

    fn unicode(&mut self) -> Option<char> {
        let mut code = self.four_digits()?;
        if (0xd800..0xdc00).contains(&code) {
            self.expect(b'\\')?;
            self.expect(b'u')?;
            let low = self.four_digits()?;
            if !(0xdc00..0xe000).contains(&low) {
                return None;
            }
            code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
        // A low surrogate alone is no character.
        char::from_u32(code)
    }

    fn four_digits(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        digits.iter().try_fold(0, |code, digit| {
            Some(code << 4 | char::from(*digit).to_digit(16)?)
        })
    }

    fn number(&mut self) -> Option<()> {
        let from = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.digits()?;
        }
        let start = self.open(b'#');
        self.out.extend_from_slice(&self.text[from..self.at]);
        self.close(start)
    }

    fn digits(&mut self) -> Option<()> {
        let rest = &self.text[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        (count > 0).then_some(())
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        if !self.text[self.at..].starts_with(word) {
            return None;
        }
        self.at += word.len();
        self.out.push(word[0]);
        Some(())
    }

    /// Leaves room for the length, which is known at [`Self::close`].
    fn open(&mut self, tag: u8) -> usize {
        self.out.extend_from_slice(&[tag, 0, 0, 0, 0]);
        self.out.len()
    }

    fn close(&mut self, start: usize) -> Option<()> {
        let length = u32::try_from(self.out.len() - start).ok()?;
        self.out[start - 4..start].copy_from_slice(&length.to_be_bytes());
        Some(())
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.eat(byte).then_some(())
    }
}

impl Member {
    /// The name as it was written, length included: any total order will do.
    fn name<'o>(&self, out: &'o [u8]) -> &'o [u8] {
        &out[self.start..self.name_end]
    }
}

impl<'p> Step<'p> {
    fn down(exclude: &[&'p [Token]], hits: impl Fn(&Token) -> bool) -> Self {
        let mut step = Self {
            is_excluded: false,
            deeper: Vec::new(),
        };
        for tokens in exclude {
            match tokens {
                [token] if hits(token) => step.is_excluded = true,
                [token, deeper @ ..] if hits(token) => step.deeper.push(deeper),
                _ => {}
            }
        }
        step
    }
}

/// The most bytes of JSON that are compared by what they mean.
pub const JSON_BYTES_MAX: usize = 1024 * 1024;
/// How deep objects and arrays may nest.
const DEPTH_MAX: usize = 128;
/// Objects whose canonical form is longer stand as a hash in what surrounds them.
const FOLD_ABOVE_BYTES: usize = 1024;
const FOLDED: u8 = b'F';
const EXCLUDED: u8 = b'-';
/// The tag and the length before the bytes of a string.
const STRING_HEAD_BYTES: usize = 5;

#[cfg(test)]
mod tests;
