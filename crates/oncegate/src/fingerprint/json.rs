//! The canonical form of a JSON text (RFC 8259): equal for two texts exactly if they say the same.
//!
//! Promises: numbers are compared as they are written and never become floats; strings are
//! compared unescaped; the order of members does not count. A text that two parsers could read
//! differently (duplicate names, lone surrogates, bad UTF-8) has no canonical form. Time and
//! memory stay linear in the text, and the depth is bounded.
//!
//! Deliberately absent: RFC 8785, whose numbers are floats: 9007199254740993 and
//! 9007199254740992 are two payments.

use std::cmp::Ordering;

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
        key,
    };
    // Most texts come out shorter than they are: names in quotes lose as much as their lengths take.
    writer.out.reserve(body.len() + body.len() / 2);
    let start = writer.out.len();
    let excluded: Vec<&[Token]> = exclude.iter().map(JsonPointer::tokens).collect();
    if excluded.iter().any(|tokens| tokens.is_empty()) {
        writer.value(0, &[])?;
        writer.out.truncate(start);
        writer.out.push(EXCLUDED);
    } else {
        writer.value(0, &excluded)?;
    }
    writer.is_at_the_end().then_some(writer.out)
}

/// Reads the text and writes its canonical form behind it. `None` means: it has none.
struct Writer<'a> {
    text: &'a [u8],
    at: usize,
    out: Vec<u8>,
    /// The members of the objects that are open: a stack, so that objects need no lists of theirs.
    members: Vec<Member>,
    key: &'a [u8; 32],
}

/// Where a member stands in what was written.
struct Member {
    /// By which the members stand: the length of the name, and behind it its first bytes. In most objects no two are
    /// alike.
    order: u128,
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
    fn value(&mut self, depth: usize, exclude: &[&[Token]]) -> Option<()> {
        match self.token()? {
            b'"' => self.string(),
            first @ (b'-' | b'0'..=b'9') => self.number(first),
            b'n' => self.word(b'n', b"ull"),
            b't' => self.word(b't', b"rue"),
            b'f' => self.word(b'f', b"alse"),
            opening if depth < DEPTH_MAX => self.container(opening, depth + 1, exclude),
            _ => None,
        }
    }

    /// Recursion is bounded by `DEPTH_MAX`, and its frames are small.
    ///
    /// Not inlined: what objects and arrays put on the stack would be put there for each number, too.
    #[inline(never)]
    fn container(&mut self, opening: u8, depth: usize, exclude: &[&[Token]]) -> Option<()> {
        match opening {
            b'{' => self.object(depth, exclude),
            b'[' => self.array(depth, exclude),
            _ => None,
        }
    }

    fn object(&mut self, depth: usize, exclude: &[&[Token]]) -> Option<()> {
        let (start, first_member) = (self.out.len(), self.members.len());
        self.out.push(b'{');
        let mut is_open = self.opens(b'}')?;
        while is_open {
            self.member(depth, exclude)?;
            is_open = self.goes_on(b'}')?;
        }
        self.sort_members(first_member, start + 1)?;
        self.out.push(b'}');
        self.fold(start);
        Some(())
    }

    fn member(&mut self, depth: usize, exclude: &[&[Token]]) -> Option<()> {
        let start = self.out.len();
        if self.token()? != b'"' {
            return None;
        }
        self.string()?;
        if self.token()? != b':' {
            return None;
        }
        let name = &self.out[start + STRING_HEAD_BYTES..];
        let name_end = self.out.len();
        let step = Step::down(exclude, |token| token.is_name(name));
        self.value(depth, &step.deeper)?;
        self.members.push(Member {
            order: order(&self.out[start..], name_end - start),
            start,
            name_end,
            end: self.out.len(),
            is_excluded: step.is_excluded,
        });
        Some(())
    }

    /// Brings the members that were just written into one order, drops those that do not count,
    /// and gives up on duplicate names: some parsers take the first, some the last.
    fn sort_members(&mut self, first_member: usize, start: usize) -> Option<()> {
        let Self { out, members, .. } = self;
        let own = &mut members[first_member..];
        own.sort_unstable_by(|one, two| one.compare(two, out));
        let mut pairs = own.array_windows();
        if pairs.any(|[one, two]| one.compare(two, out) == Ordering::Equal) {
            return None;
        }
        if !Self::stand_in_order(own, start) {
            let end = out.len();
            for member in own.iter().filter(|member| !member.is_excluded) {
                out.extend_from_within(member.start..member.end);
            }
            out.drain(start..end);
        }
        members.truncate(first_member);
        Some(())
    }

    /// Whether these were written one behind the other, and all of them count.
    fn stand_in_order(members: &[Member], mut start: usize) -> bool {
        members.iter().all(|member| {
            let in_order = member.start == start && !member.is_excluded;
            start = member.end;
            in_order
        })
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
        self.out.push(b'[');
        let mut is_open = self.opens(b']')?;
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
            is_open = self.goes_on(b']')?;
        }
        self.out.push(b']');
        Some(())
    }

    fn string(&mut self) -> Option<()> {
        let start = self.open(b'"');
        loop {
            // All eight are copied, because a copy of known length is one move; what is too much goes again.
            // No string may hold the zeros behind the end.
            let bytes = eight(&self.text[self.at..]);
            let plain = plain_bytes(bytes);
            self.out.extend_from_slice(&bytes);
            self.at += plain;
            if plain == bytes.len() {
                continue;
            }
            self.out.truncate(self.out.len() - (bytes.len() - plain));
            self.at += 1;
            match bytes[plain] {
                b'"' => return self.close(start),
                b'\\' => self.escape()?,
                _ => return None,
            }
        }
    }

    /// Seldom wanted, and kept out of the way of what is.
    #[cold]
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

    fn number(&mut self, first: u8) -> Option<()> {
        let from = self.at - 1;
        let digit = if first == b'-' { self.next()? } else { first };
        match digit {
            b'0' => {}
            b'1'..=b'9' => self.skip_digits(),
            _ => return None,
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

    /// One digit or more.
    fn digits(&mut self) -> Option<()> {
        let is_digit = self.next()?.is_ascii_digit();
        self.skip_digits();
        is_digit.then_some(())
    }

    fn skip_digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn word(&mut self, tag: u8, rest: &[u8]) -> Option<()> {
        if !self.text[self.at..].starts_with(rest) {
            return None;
        }
        self.at += rest.len();
        self.out.push(tag);
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

    /// Whether something stands behind the bracket that was just read, or the one that closes it.
    fn opens(&mut self, closing: u8) -> Option<bool> {
        let is_open = self.token()? != closing;
        self.at -= usize::from(is_open);
        Some(is_open)
    }

    /// Whether another element follows, or the bracket that closes them.
    fn goes_on(&mut self, closing: u8) -> Option<bool> {
        let byte = self.token()?;
        (byte == b',' || byte == closing).then_some(byte == b',')
    }

    fn is_at_the_end(&mut self) -> bool {
        self.token().is_none()
    }

    /// The next byte that is no space.
    fn token(&mut self) -> Option<u8> {
        loop {
            match self.next()? {
                b' ' | b'\t' | b'\n' | b'\r' => {}
                byte => return Some(byte),
            }
        }
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
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
    /// The shorter name first. Records that exist were made in this order; it seldom has to look at what was written.
    fn compare(&self, other: &Self, out: &[u8]) -> Ordering {
        self.order
            .cmp(&other.order)
            .then_with(|| self.name(out).cmp(other.name(out)))
    }

    fn name<'o>(&self, out: &'o [u8]) -> &'o [u8] {
        &out[self.start + STRING_HEAD_BYTES..self.name_end]
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

/// The length of the name that stands in front as it was written, and behind it its first bytes.
fn order(written: &[u8], name_end: usize) -> u128 {
    let name_bytes = name_end - STRING_HEAD_BYTES;
    let head = u64::from_be_bytes(eight(&written[STRING_HEAD_BYTES..]));
    // What stands behind a short name goes.
    let head = u128::from(head) >> (64 - 8 * name_bytes.min(8));
    (name_bytes as u128) << 64 | head
}

/// The first eight bytes. Zeros follow the end.
fn eight(bytes: &[u8]) -> [u8; 8] {
    bytes.first_chunk().copied().unwrap_or_else(|| {
        let mut padded = [0; 8];
        padded[..bytes.len()].copy_from_slice(bytes);
        padded
    })
}

/// How many bytes at the front stand for themselves in a string: neither its end nor an escape nor a control
/// character.
///
/// All eight are looked at in one: a byte is below `n` if taking `n` from it borrows from its top bit. A borrow may run on
/// into the bytes above, but never into the first one that is found.
fn plain_bytes(bytes: [u8; 8]) -> usize {
    const fn each(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    let text = u64::from_le_bytes(bytes);
    let below = |text: u64, n: u8| text.wrapping_sub(each(n)) & !text;
    let special = below(text, b' ') | below(text ^ each(b'"'), 1) | below(text ^ each(b'\\'), 1);
    (special & each(0x80)).trailing_zeros() as usize / 8
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
