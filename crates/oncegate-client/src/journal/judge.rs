//! What follows from what the journal holds under a name or key: pure, a value in and a value out.

use super::row::{Happened, State};
use crate::classify::Advice;

/// What stands in the journal under the same name or key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) state: State,
    /// Whether it is the same request: method, URL, content and its type.
    pub(super) same_request: bool,
    /// Whether somebody alive is sending it.
    pub(super) held: bool,
}

/// What follows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// Nothing stands in its way: sent under the caller's key.
    Send,
    /// It did not happen, and the key is good for another try.
    SendAgain,
    /// It may have been sent: it goes on, under the key that it has.
    GoOn,
    /// It happened.
    Recorded(Happened),
    /// Somebody is sending it.
    InUse,
    /// It stands for something else.
    OtherRequest,
}

pub(super) fn judge(standing: Option<Standing>) -> Verdict {
    let Some(standing) = standing else {
        return Verdict::Send;
    };
    match standing.state {
        State::Open | State::Yes(_) if !standing.same_request => Verdict::OtherRequest,
        State::Open if standing.held => Verdict::InUse,
        State::Open => Verdict::GoOn,
        State::Yes(happened) => Verdict::Recorded(happened),
        // A mended request is another operation. The name may have it, because the first did not happen.
        State::No {
            advice: Advice::Reuse,
        } if standing.same_request => Verdict::SendAgain,
        State::No {
            advice: Advice::Reuse | Advice::Rotate,
        } => Verdict::Send,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::Protection;

    #[test]
    fn a_name_is_never_sent_under_a_second_key_before_the_first_is_decided() {
        const OPEN: State = State::Open;
        const HAPPENED: Happened = Happened {
            lost: false,
            maybe_twice: false,
            protection: Protection::Shown,
        };
        const YES: State = State::Yes(HAPPENED);
        const REUSE: State = State::No {
            advice: Advice::Reuse,
        };
        const ROTATE: State = State::No {
            advice: Advice::Rotate,
        };
        // State, same request, held: what follows.
        let table = [
            (OPEN, true, false, Verdict::GoOn),
            (OPEN, true, true, Verdict::InUse),
            (OPEN, false, false, Verdict::OtherRequest),
            (OPEN, false, true, Verdict::OtherRequest),
            (YES, true, false, Verdict::Recorded(HAPPENED)),
            (YES, false, false, Verdict::OtherRequest),
            (REUSE, true, false, Verdict::SendAgain),
            (REUSE, false, false, Verdict::Send),
            (ROTATE, true, false, Verdict::Send),
            (ROTATE, false, false, Verdict::Send),
        ];
        for (state, same_request, held, verdict) in table {
            let standing = Standing {
                state,
                same_request,
                held,
            };
            assert_eq!(judge(Some(standing)), verdict, "{standing:?}");
        }
        assert_eq!(judge(None), Verdict::Send);
    }
}
