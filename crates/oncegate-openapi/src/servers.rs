//! The path that a server's URL puts before all others.

use crate::description::Source;
use crate::tree::Id;

/// The path of the first server of the nearest of these that has any: of the operation, of its path, of the whole.
pub(crate) fn base(source: &Source, nearest: [Id; 3]) -> String {
    let tree = &source.tree;
    let mut servers = nearest.into_iter();
    let server = servers.find_map(|id| tree.items(tree.get(id, "servers")?).first().copied());
    let Some(url) = server.and_then(|server| tree.text_of(server, "url")) else {
        return String::new();
    };
    let mut url = url.to_owned();
    let variables = server.and_then(|server| tree.get(server, "variables"));
    for variable in variables.map(|id| tree.members(id)).unwrap_or_default() {
        let default = tree.text_of(variable.value, "default").unwrap_or_default();
        url = url.replace(&format!("{{{}}}", variable.name), default);
    }
    path(&url).trim_end_matches('/').to_owned()
}

/// The path of a URL, which may be one without a host.
fn path(url: &str) -> &str {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |at| &rest[at..]),
        None if url.starts_with('/') => url,
        None => "",
    };
    path.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_the_nearest_server_goes_before_all_others() {
        for (server, expected) in [
            ("https://api.example.com", ""),
            ("https://api.example.com/", ""),
            ("https://api.example.com/v1/", "/v1"),
            ("/v1", "/v1"),
            ("https://{host}/{version}/", "/v2"),
            ("https://a/b?c=/d", "/b"),
        ] {
            let text = format!(
                "servers:\n- url: {server}\n  variables:\n    version: {{default: v2}}\n    host: {{default: h}}\nnear: {{}}\n"
            );
            let source = Source::read(text).unwrap();
            let near = source.tree.get(source.tree.root, "near").unwrap();
            assert_eq!(
                base(&source, [near, near, source.tree.root]),
                expected,
                "{server}"
            );
        }
    }
}
