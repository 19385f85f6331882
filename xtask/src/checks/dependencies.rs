//! Who may depend on whom.
//!
//! Services meet only in `contracts`; rules stay free of input, output, clocks and random ids.

use crate::{process::output_of, workspace::cargo};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::Path,
    process::Command,
};

/// They start, watch or measure everything, so they may depend on everything.
const MAY_DEPEND_ON_ALL: [&str; 4] = ["patchfleet", "journeys", "loadtests", "xtask"];

/// Pure besides every `*-domain` crate.
const PURE: [&str; 5] = ["kernel", "contracts", "scenario", "versions", "feeds-documents"];

/// Crates that reach the world; a name also stands for the family `<name>-…` and `<name>_…`.
const IMPURE: [&str; 6] = ["tokio", "sqlx", "lapin", "actix", "reqwest", "opentelemetry"];

/// Features with which a pure crate could read a clock or make a random id.
const IMPURE_FEATURES: [(&str, &[&str]); 2] =
    [("chrono", &["clock", "now", "default"]), ("uuid", &["v1", "v4", "v6", "v7", "fast-rng", "rng"])];

/// Fails with every broken rule.
pub(crate) fn check(root: &Path) -> Result<()> {
    // Of this machine only: crates for other systems are in the lock file, and on a fresh machine nowhere else.
    let host = host(&output_of(Command::new("rustc").arg("-vV"))?)?;
    let arguments = ["metadata", "--format-version", "1", "--locked", "--filter-platform", &host];
    let text = output_of(Command::new(cargo()).current_dir(root).args(arguments))?;
    let metadata = serde_json::from_str(&text).context("reading cargo's metadata")?;
    let violations = Graph::read(&metadata)?.violations();
    if !violations.is_empty() {
        bail!("{}", violations.join("\n"));
    }
    Ok(())
}

/// The machine that `rustc -vV` says it runs on.
fn host(version: &str) -> Result<String> {
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(ToOwned::to_owned).context("rustc does not say on which machine it runs")
}

/// A crate of the workspace or from outside.
#[derive(Debug)]
struct Package {
    name: String,
    /// Where it lies in the workspace; none for a crate from outside.
    folder: Option<String>,
    declared: Vec<Declared>,
}

/// A line below `[dependencies]`, of any kind.
#[derive(Debug)]
struct Declared {
    name: String,
    normal: bool,
    features: Vec<String>,
    default_features: bool,
}

#[derive(Debug)]
struct Graph {
    packages: BTreeMap<String, Package>,
    /// Normal dependencies, as cargo resolved them.
    edges: BTreeMap<String, Vec<String>>,
}

impl Graph {
    fn read(metadata: &Value) -> Result<Self> {
        let root = text(&metadata["workspace_root"]).context("metadata without a workspace root")?;
        let mut packages = BTreeMap::new();
        for package in list(&metadata["packages"]) {
            let id = text(&package["id"]).context("package without an id")?;
            let manifest = text(&package["manifest_path"]).unwrap_or_default();
            let inside = package["source"].is_null().then(|| manifest.strip_prefix(root)).flatten();
            let folder =
                inside.map(|path| path.trim_start_matches('/').trim_end_matches("/Cargo.toml").to_owned());
            let name = text(&package["name"]).unwrap_or_default().to_owned();
            let declared = list(&package["dependencies"]).iter().map(declared).collect();
            packages.insert(id.to_owned(), Package { name, folder, declared });
        }
        let mut edges = BTreeMap::new();
        for node in list(&metadata["resolve"]["nodes"]) {
            let is_normal = |kind: &Value| kind["kind"].is_null();
            let normal =
                list(&node["deps"]).iter().filter(|dep| list(&dep["dep_kinds"]).iter().any(is_normal));
            let targets = normal.filter_map(|dep| text(&dep["pkg"]).map(str::to_owned)).collect();
            edges.insert(text(&node["id"]).unwrap_or_default().to_owned(), targets);
        }
        Ok(Self { packages, edges })
    }

    fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (id, package) in self.packages.iter().filter(|(_, package)| package.folder.is_some()) {
            self.check_services(package, &mut found);
            if package.is_pure() {
                package.check_features(&mut found);
                self.check_reach(id, package, &mut found);
            }
        }
        found
    }

    fn check_services(&self, package: &Package, found: &mut Vec<String>) {
        if MAY_DEPEND_ON_ALL.contains(&package.name.as_str()) {
            return;
        }
        let own = package.service();
        for declared in &package.declared {
            let service = self.member(&declared.name).and_then(Package::service);
            if service.is_some() && service != own {
                found.push(format!(
                    "{} depends on {}: services meet only in contracts, and nothing shared knows a service",
                    package.name, declared.name
                ));
            }
        }
    }

    fn check_reach(&self, id: &str, package: &Package, found: &mut Vec<String>) {
        let mut ways: VecDeque<Vec<&str>> = VecDeque::from([vec![id]]);
        let mut seen = BTreeSet::from([id]);
        while let Some(way) = ways.pop_front() {
            let Some(last) = way.last() else { continue };
            for next in self.edges.get(*last).into_iter().flatten().map(String::as_str) {
                if !seen.insert(next) {
                    continue;
                }
                let way: Vec<&str> = way.iter().copied().chain([next]).collect();
                if is_impure(self.name(next)) {
                    let names: Vec<&str> = way.iter().map(|id| self.name(id)).collect();
                    found.push(format!("{} must stay pure: {}", package.name, names.join(" -> ")));
                } else {
                    ways.push_back(way);
                }
            }
        }
    }

    fn member(&self, name: &str) -> Option<&Package> {
        self.packages.values().find(|package| package.folder.is_some() && package.name == name)
    }

    fn name<'a>(&'a self, id: &'a str) -> &'a str {
        self.packages.get(id).map_or(id, |package| &package.name)
    }
}

impl Package {
    /// The service it is part of.
    fn service(&self) -> Option<&str> {
        let service = self.folder.as_deref()?.strip_prefix("services/")?.split('/').next()?;
        (service != "patchfleet").then_some(service)
    }

    fn is_pure(&self) -> bool {
        PURE.contains(&self.name.as_str()) || self.name.ends_with("-domain")
    }

    fn check_features(&self, found: &mut Vec<String>) {
        for declared in self.declared.iter().filter(|declared| declared.normal) {
            let Some((_, impure)) = IMPURE_FEATURES.iter().find(|(name, _)| *name == declared.name) else {
                continue;
            };
            let defaults = declared.default_features.then_some("default");
            let on = declared.features.iter().map(String::as_str).chain(defaults);
            for feature in on.filter(|feature| impure.contains(feature)) {
                let Self { name, .. } = self;
                found.push(format!("{name} must stay pure: it turns on `{feature}` of {}", declared.name));
            }
        }
    }
}

fn declared(dependency: &Value) -> Declared {
    Declared {
        name: text(&dependency["name"]).unwrap_or_default().to_owned(),
        normal: dependency["kind"].is_null(),
        features: list(&dependency["features"]).iter().filter_map(text).map(str::to_owned).collect(),
        default_features: dependency["uses_default_features"] == Value::Bool(true),
    }
}

fn is_impure(name: &str) -> bool {
    IMPURE.iter().any(|impure| {
        name.strip_prefix(impure).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
    })
}

fn text(value: &Value) -> Option<&str> {
    value.as_str()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::Graph;
    use serde_json::{Value, json};

    fn member(name: &str, folder: &str, dependencies: &[Value]) -> Value {
        json!({"id": name, "name": name, "source": null, "manifest_path": format!("/w/{folder}/Cargo.toml"), "dependencies": dependencies})
    }

    fn outside(name: &str) -> Value {
        json!({"id": name, "name": name, "source": "registry", "manifest_path": "/r/Cargo.toml", "dependencies": []})
    }

    fn on(name: &str) -> Value {
        json!({"name": name, "kind": null, "features": [], "uses_default_features": false})
    }

    fn violations(packages: &[Value], edges: &[(&str, &str, Option<&str>)]) -> Vec<String> {
        let nodes: Vec<Value> = edges
            .iter()
            .map(|(from, to, kind)| json!({"id": from, "deps": [{"pkg": to, "dep_kinds": [{"kind": kind}]}]}))
            .collect();
        let metadata = json!({"workspace_root": "/w", "packages": packages, "resolve": {"nodes": nodes}});
        Graph::read(&metadata).unwrap().violations()
    }

    #[test]
    fn this_workspace_keeps_the_rules() {
        super::check(&crate::workspace::root().unwrap()).unwrap();
    }

    #[test]
    fn a_service_may_not_depend_on_another() {
        let found = violations(
            &[
                member("alerts", "services/alerts", &[on("devices-domain"), on("alerts-domain")]),
                member("alerts-domain", "services/alerts/domain", &[]),
                member("devices-domain", "services/devices/domain", &[]),
            ],
            &[],
        );
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("alerts depends on devices-domain"));
    }

    #[test]
    fn nothing_shared_may_know_a_service() {
        let found = violations(
            &[member("web", "shared/web", &[on("tenancy")]), member("tenancy", "services/tenancy", &[])],
            &[],
        );
        assert!(found[0].starts_with("web depends on tenancy"));
    }

    #[test]
    fn the_program_may_depend_on_every_service() {
        let found = violations(
            &[
                member("patchfleet", "services/patchfleet", &[on("tenancy")]),
                member("tenancy", "services/tenancy", &[]),
            ],
            &[],
        );
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn rules_may_not_reach_the_world_even_through_others() {
        let found = violations(
            &[
                member("feeds-domain", "services/feeds/domain", &[]),
                outside("harmless"),
                outside("tokio-util"),
            ],
            &[("feeds-domain", "harmless", None), ("harmless", "tokio-util", None)],
        );
        assert_eq!(found, ["feeds-domain must stay pure: feeds-domain -> harmless -> tokio-util"]);
    }

    #[test]
    fn tests_of_rules_may_reach_the_world() {
        let found = violations(
            &[member("kernel", "shared/kernel", &[]), outside("tokio")],
            &[("kernel", "tokio", Some("dev"))],
        );
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn rules_may_not_turn_on_a_clock_or_random_ids() {
        let uuid = json!({"name": "uuid", "kind": null, "features": ["v4"], "uses_default_features": false});
        let chrono = json!({"name": "chrono", "kind": null, "features": [], "uses_default_features": true});
        let found = violations(&[member("contracts", "shared/contracts", &[uuid, chrono])], &[]);
        assert_eq!(
            found,
            [
                "contracts must stay pure: it turns on `v4` of uuid",
                "contracts must stay pure: it turns on `default` of chrono"
            ]
        );
    }
}
