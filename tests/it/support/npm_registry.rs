//! A registry for npm that offers the packages of a folder, and nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub struct Registry {
    pub url: String,
}

struct Package {
    manifest: Value,
    file: PathBuf,
}

impl Registry {
    /// Serves the `*.tgz` in a folder, until the test's runtime ends.
    pub async fn serve(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let packages: Vec<_> = files
            .filter(|file| file.extension().is_some_and(|extension| extension == "tgz"))
            .map(|file| Package {
                manifest: manifest(&file, &url),
                file,
            })
            .collect();
        let router = Router::new().fallback(answer).with_state(Arc::new(packages));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url }
    }
}

/// The package's own description, with the place of its file.
fn manifest(file: &Path, url: &str) -> Value {
    let mut tar = Command::new("tar");
    tar.arg("-xzOf").arg(file).arg("package/package.json");
    let mut manifest: Value = serde_json::from_slice(&tar.output().unwrap().stdout).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    manifest["dist"] = json!({"tarball": format!("{url}/-/{name}")});
    manifest["hasInstallScript"] = json!(manifest["scripts"]["postinstall"].is_string());
    manifest
}

/// A package by its name, where `/` in it may be escaped, with all its versions; or a file.
async fn answer(State(packages): State<Arc<Vec<Package>>>, uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/').replace("%2f", "/");
    if let Some(name) = path.strip_prefix("-/") {
        let named = packages.iter().find(|package| package.file.ends_with(name));
        let content = named.map(|package| std::fs::read(&package.file).unwrap());
        return content.ok_or(StatusCode::NOT_FOUND).into_response();
    }
    let all: Vec<&Value> = packages.iter().map(|package| &package.manifest).collect();
    let versions: serde_json::Map<String, Value> = all
        .into_iter()
        .filter(|manifest| manifest["name"] == path.as_str())
        .map(|manifest| (manifest["version"].as_str().unwrap().to_owned(), manifest.clone()))
        .collect();
    let Some(latest) = versions.keys().max() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let document = json!({"name": path, "dist-tags": {"latest": latest}, "versions": versions});
    ([("content-type", "application/json")], document.to_string()).into_response()
}
