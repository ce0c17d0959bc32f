//! Which policy a request gets: the one of its route, or the defaults.
//!
//! Promises: a path is matched in the form that [`normal_path`] gives it, a method without regard
//! to case, and every request has a policy. Of several patterns that match, the most specific one
//! among those for the method counts: a route for `PUT /a/{*rest}` is not hidden from a PUT by one
//! for `POST /a/{id}`.
//!
//! Deliberately absent: hosts and queries. A route is a method and a path.

use std::fmt;
use std::sync::Arc;

use http::Method;
use http::request::Parts;
use matchit::{InsertError, Router};
use oncegate::Policy;
use oncegate_tower::Policies;
use oncegate_tower::path::normal_path;

/// A path pattern and what holds for the requests that it matches.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Route {
    /// Segments of a decoded path, `{name}` for any one of them, `{*rest}` for all that follow.
    pub pattern: String,
    /// What holds there. Its `methods` say which requests the route is for.
    pub policy: Arc<Policy>,
}

/// All routes and the defaults.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    defaults: Arc<Policy>,
    routes: Vec<Route>,
    tables: Vec<Table>,
}

/// A route that could match the same requests as another one, neither being the more specific.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the route `{method} {pattern}` conflicts with `{method} {with}`")]
pub struct RouteConflict {
    /// Where the route stands in the list.
    pub index: usize,
    /// For which of its methods there is a conflict.
    pub method: Method,
    /// The pattern that came later.
    pub pattern: String,
    /// The pattern that came first.
    pub with: String,
}

impl Routes {
    /// Builds the table.
    ///
    /// # Errors
    /// Every conflict between two routes.
    pub fn new(defaults: Arc<Policy>, routes: Vec<Route>) -> Result<Self, Vec<RouteConflict>> {
        let mut tables = Vec::new();
        let mut conflicts = Vec::new();
        for (index, route) in routes.iter().enumerate() {
            // One report is enough for a route with several methods.
            let conflict = route.policy.methods.iter().find_map(|method| {
                let error = table_for(&mut tables, method)
                    .router
                    .insert(&route.pattern, Arc::clone(&route.policy))
                    .err()?;
                Some(RouteConflict::new(index, method, route, &error))
            });
            conflicts.extend(conflict);
        }
        if conflicts.is_empty() {
            Ok(Self {
                defaults,
                routes,
                tables,
            })
        } else {
            Err(conflicts)
        }
    }

    /// The policy of requests that no route matches.
    #[must_use]
    pub fn defaults(&self) -> &Arc<Policy> {
        &self.defaults
    }

    /// The routes in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter()
    }

    /// Every policy that a request can get.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        let routes = self.routes.iter().map(|route| &*route.policy);
        routes.chain([&*self.defaults])
    }

    /// The policy of a request with this method and this raw path.
    #[must_use]
    pub fn policy(&self, method: &Method, raw_path: &str) -> &Arc<Policy> {
        let table = self
            .tables
            .iter()
            .find(|table| same_method(&table.method, method));
        let path = normal_path(raw_path).path;
        let found = table.and_then(|table| table.router.at(&path).ok());
        found.map_or(&self.defaults, |found| found.value)
    }
}

impl Policies for Routes {
    fn find(&self, request: &Parts) -> Option<Arc<Policy>> {
        Some(Arc::clone(self.policy(&request.method, request.uri.path())))
    }
}

/// As in the setting `match`: `POST,PUT /payments/{id}`.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods: Vec<&str> = self.policy.methods.iter().map(Method::as_str).collect();
        write!(f, "{} {}", methods.join(","), self.pattern)
    }
}

/// The tables follow from the rest.
impl PartialEq for Routes {
    fn eq(&self, other: &Self) -> bool {
        (&self.defaults, &self.routes) == (&other.defaults, &other.routes)
    }
}

impl RouteConflict {
    fn new(index: usize, method: &Method, route: &Route, error: &InsertError) -> Self {
        let with = if let InsertError::Conflict { with } = error {
            with.clone()
        } else {
            // Patterns are checked when they are read; should one be wrong, this says why.
            error.to_string()
        };
        Self {
            index,
            method: method.clone(),
            pattern: route.pattern.clone(),
            with,
        }
    }
}

/// The routes for one method.
#[derive(Clone)]
struct Table {
    method: Method,
    router: Router<Arc<Policy>>,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

fn table_for<'t>(tables: &'t mut Vec<Table>, method: &Method) -> &'t mut Table {
    let known = tables
        .iter()
        .position(|table| same_method(&table.method, method));
    let at = known.unwrap_or_else(|| {
        tables.push(Table {
            method: method.clone(),
            router: Router::new(),
        });
        tables.len() - 1
    });
    &mut tables[at]
}

fn same_method(one: &Method, other: &Method) -> bool {
    one.as_str().eq_ignore_ascii_case(other.as_str())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    /// Each policy is told from the others by its `key_length_max`.
    fn policy(methods: &[&str], mark: usize) -> Arc<Policy> {
        let mut policy = Policy {
            methods: methods.iter().map(|name| name.parse().unwrap()).collect(),
            ..Policy::default()
        };
        policy.key_rules.length_max = mark;
        Arc::new(policy)
    }

    fn build(routes: &[(&[&str], &str)]) -> Result<Routes, Vec<RouteConflict>> {
        let route = |(at, (methods, pattern)): (usize, &(&[&str], &str))| Route {
            pattern: (*pattern).to_owned(),
            policy: policy(methods, at + 1),
        };
        Routes::new(
            policy(&[], 0),
            routes.iter().enumerate().map(route).collect(),
        )
    }

    #[test]
    fn a_request_gets_the_policy_of_the_most_specific_route_for_its_method() {
        let routes = build(&[
            (&["POST"], "/payments"),
            (&["POST", "PUT"], "/payments/{id}"),
            (&["PUT"], "/payments"),
            (&["POST"], "/payments/{id}/refunds"),
            (&["POST", "DELETE"], "/files/{*rest}"),
            (&["POST"], "/caf\u{e9}/a b"),
        ])
        .unwrap();
        let table = [
            ("POST", "/payments", 1),
            ("post", "/payments", 1),
            ("PUT", "/payments?dry=1", 3),
            ("PATCH", "/payments", 0),
            ("POST", "/payments/7", 2),
            ("POST", "/payments/7/refunds", 4),
            ("PUT", "/payments/7/refunds", 0),
            ("POST", "/payments/", 0),
            ("POST", "/Payments", 0),
            ("DELETE", "/files/a/b", 5),
            ("POST", "/files", 0),
            ("POST", "/caf%C3%A9/a%20b", 6),
            ("POST", "/%70ayments", 1),
            ("POST", "/a/../payments", 1),
            ("POST", "//payments", 1),
            ("POST", "/payments%2F7", 2),
            ("POST", "/payments/%FF", 2),
            ("OPTIONS", "*", 0),
        ];
        for (method, uri, mark) in table {
            let request = Request::builder().method(method).uri(uri).body(()).unwrap();
            let found = routes.find(&request.into_parts().0).unwrap();
            assert_eq!(found.key_rules.length_max, mark, "{method} {uri}");
        }
    }

    /// A table for all methods at once would find `/a/{id}` for a PUT, see that it is for POST
    /// alone, and give the PUT the defaults: a required key would be required no longer.
    #[test]
    fn a_route_for_one_method_does_not_hide_a_wider_one_for_another() {
        let routes = build(&[(&["POST"], "/a/{id}"), (&["PUT"], "/a/{*rest}")]).unwrap();
        assert_eq!(routes.policy(&Method::PUT, "/a/7").key_rules.length_max, 2);
        assert_eq!(routes.policy(&Method::POST, "/a/7").key_rules.length_max, 1);
    }

    #[test]
    fn two_routes_for_the_same_requests_conflict() {
        let conflicts = build(&[
            (&["POST"], "/a/{id}"),
            (&["PUT", "POST"], "/a/{name}"),
            (&["POST"], "/a/{id}"),
            (&["PATCH"], "/a/{id}"),
        ])
        .unwrap_err();
        let found: Vec<_> = conflicts.iter().map(|c| (c.index, c.to_string())).collect();
        let first = "the route `POST /a/{name}` conflicts with `POST /a/{id}`";
        let second = "the route `POST /a/{id}` conflicts with `POST /a/{id}`";
        assert_eq!(found, [(1, first.to_owned()), (2, second.to_owned())]);
    }
}
