//! Stripe's own client libraries, Python and Node, each behind the same few words.

use std::net::SocketAddr;

use serde::Deserialize;
use serde_json::{Value, json};

use super::node::Node;
use super::python::Python;

/// A library that is installed.
pub(crate) enum Library {
    Python(Python),
    Node(Node),
}

/// What a call got in the end.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Called {
    /// What was created; none if the library raised an error.
    pub(crate) object: Option<Value>,
    /// The library's own class of the error, without `Stripe` before it.
    pub(crate) error: Option<String>,
    pub(crate) status: Option<u16>,
    pub(crate) code: Option<String>,
    pub(crate) executed: Option<String>,
    pub(crate) next: Option<String>,
    pub(crate) replayed: bool,
}

impl Library {
    /// All of them.
    pub(crate) async fn all() -> [Self; 2] {
        [
            Self::Python(Python::ready().await),
            Self::Node(Node::ready().await),
        ]
    }

    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Python(_) => "python",
            Self::Node(_) => "node",
        }
    }

    /// Creates one customer for each (key, address), one after the other, each with so many retries of the library's.
    pub(crate) async fn create(
        &self,
        at: SocketAddr,
        retries: u32,
        calls: &[(&str, &str)],
    ) -> Vec<Called> {
        let calls: Vec<Value> = calls
            .iter()
            .map(|(key, email)| json!({ "key": key, "email": format!("{email}@example.test") }))
            .collect();
        let plan = json!({ "base": format!("http://{at}"), "retries": retries, "calls": calls });
        let plan = plan.to_string();
        let printed = match self {
            Self::Python(python) => python.script(include_str!("stripe_sdk.py"), &plan).await,
            Self::Node(node) => node.script("stripe_sdk.cjs", &plan).await,
        };
        let mut called: Vec<Called> =
            serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{printed}"));
        for it in &mut called {
            let bare = |name: String| name.strip_prefix("Stripe").unwrap_or(&name).to_owned();
            it.error = it.error.take().map(bare);
        }
        called
    }
}

impl Called {
    /// What was created.
    #[track_caller]
    pub(crate) fn object(&self) -> &Value {
        self.object.as_ref().unwrap_or_else(|| panic!("{self:?}"))
    }

    /// The library raised its error of this class, for this status and code.
    #[track_caller]
    pub(crate) fn must_raise(&self, error: &str, status: u16, code: Option<&str>) {
        assert_eq!(self.error.as_deref(), Some(error), "{self:?}");
        assert_eq!(self.status, Some(status), "{self:?}");
        assert_eq!(self.code.as_deref(), code, "{self:?}");
    }
}
