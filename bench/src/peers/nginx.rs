//! nginx as a reverse proxy: one process, connections to the upstream kept alive, no access log.
//!
//! Bodies stay in memory: with its default buffer nginx would write each large one to a file.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{Stage, Started, own};
use crate::process::free_address;

pub fn start(stage: &Stage) -> Result<Started> {
    let (upstream, origin) = own::upstream(stage)?;
    let address = free_address()?;
    let file = stage.file("nginx.conf");
    fs::write(&file, configuration(address, upstream, &stage.folder))?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(&stage.folder).arg("-c").arg(&file);
    Ok(Started {
        address,
        under_test: stage.under_test(command, address, "nginx.log")?,
        beside: None,
        counter: upstream,
        origin: Some(origin),
    })
}

fn configuration(listen: SocketAddr, upstream: SocketAddr, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
worker_rlimit_nofile 30000;
events {{ worker_connections 15000; }}
http {{
  access_log off;
  client_body_buffer_size 256k;
  client_body_temp_path {folder}/nginx-bodies;
  proxy_temp_path {folder}/nginx-answers;
  fastcgi_temp_path {folder}/nginx-fastcgi;
  uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
  keepalive_requests 1000000000;
  upstream origin {{ server {upstream}; keepalive 512; keepalive_requests 1000000000; }}
  server {{
    listen {listen} backlog=4096;
    location / {{
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
    }}
  }}
}}
"
    )
}
