//! Who the portal is to the cluster: `KUBECONFIG`, else `~/.kube/config`, else the service account of its own pod.

use std::path::PathBuf;

use anyhow::{Context, bail};
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};

/// A login, and where it was found.
pub(super) struct Login {
    pub(super) config: Config,
    pub(super) source: String,
}

/// What the environment says. A file that is named or found and can't be used is an error, never skipped: a portal that
/// silently turns to another cluster is worse than one that does not start.
pub(super) async fn discover(variable: &(dyn Fn(&str) -> Option<String> + Sync)) -> anyhow::Result<Login> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    if let Some(paths) = set("KUBECONFIG") {
        return from_files(std::env::split_paths(&paths).collect(), format!("KUBECONFIG ({paths})")).await;
    }
    if let Some(home) = set("HOME") {
        let path = PathBuf::from(home).join(".kube/config");
        if path.exists() {
            let source = path.display().to_string();
            return from_files(vec![path], source).await;
        }
    }
    if set("KUBERNETES_SERVICE_HOST").is_some() {
        let config = Config::incluster().context("this pod's service account can't be used: mount its token")?;
        return Ok(Login { config, source: "the pod's service account".to_owned() });
    }
    bail!(
        "no login to Kubernetes: set KUBECONFIG to a kubeconfig file (deploy/README.md says how to make one), or put it \
         at ~/.kube/config, or run the portal in a pod with a service account; or set cloud.applications = \"practice\""
    )
}

/// Several files are merged as kubectl does it: the first to say something wins. One of them that does not exist is
/// left out, if another does.
pub(super) async fn from_files(paths: Vec<PathBuf>, source: String) -> anyhow::Result<Login> {
    let mut merged: Option<Kubeconfig> = None;
    for path in paths.iter().filter(|path| path.exists()) {
        let read = Kubeconfig::read_from(path).with_context(|| format!("{} is no kubeconfig", path.display()))?;
        merged = Some(match merged {
            None => read,
            Some(before) => {
                before.merge(read).with_context(|| format!("{} does not fit the others", path.display()))?
            }
        });
    }
    let Some(kubeconfig) = merged else { bail!("{source}: there is no such file") };
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .with_context(|| format!("{source} can't be used: see its current-context, cluster and user"))?;
    Ok(Login { config, source })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const FILE: &str = "apiVersion: v1\nkind: Config\ncurrent-context: here\nclusters:\n- name: c\n  cluster: {server: \
                        'http://127.0.0.1:1'}\nusers:\n- name: u\n  user: {token: t}\ncontexts:\n- name: here\n  \
                        context: {cluster: c, user: u}\n";

    async fn found(pairs: &[(&str, &str)]) -> Result<String, String> {
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let variable = move |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        discover(&variable).await.map(|login| login.source).map_err(|err| format!("{err:#}"))
    }

    #[tokio::test]
    async fn the_first_that_is_there_is_taken_and_none_is_skipped() {
        let home = std::env::temp_dir().join(format!("fast-cloud-login-{}", uuid::Uuid::new_v4()));
        fs::create_dir_all(home.join(".kube")).unwrap();
        let (file, broken, at_home) = (home.join("a"), home.join("b"), home.join(".kube/config"));
        fs::write(&file, FILE).unwrap();
        fs::write(&broken, "no: [").unwrap();
        let (home_text, file_text) = (home.display().to_string(), file.display().to_string());

        assert!(found(&[]).await.unwrap_err().contains("set KUBECONFIG"));
        assert!(found(&[("HOME", &home_text)]).await.unwrap_err().contains("set KUBECONFIG"));
        fs::write(&at_home, FILE).unwrap();
        assert_eq!(found(&[("HOME", &home_text), ("KUBECONFIG", "")]).await.unwrap(), at_home.display().to_string());
        let both = [("HOME", home_text.as_str()), ("KUBECONFIG", file_text.as_str())];
        assert_eq!(found(&both).await.unwrap(), format!("KUBECONFIG ({file_text})"));
        let missing = home.join("none").display().to_string();
        let error = found(&[("HOME", &home_text), ("KUBECONFIG", &missing)]).await.unwrap_err();
        assert!(error.contains("no such file"), "{error}");
        let error = found(&[("HOME", &home_text), ("KUBECONFIG", &broken.display().to_string())]).await.unwrap_err();
        assert!(error.contains("no kubeconfig"), "{error}");
        let list = format!("{missing}:{file_text}");
        assert!(found(&[("KUBECONFIG", &list)]).await.is_ok());
        fs::remove_dir_all(home).unwrap();
    }
}
