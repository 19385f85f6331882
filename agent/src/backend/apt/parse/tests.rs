//! Answers of real machines, and names that must not pass.

use super::{Candidate, candidates, installed, is_package_name, is_version, origins};

const POLICY: &str = "\
Package files:
 100 /var/lib/dpkg/status
     release a=now
 500 http://me:secret@deb.debian.org/debian-security bookworm-security/main amd64 Packages
     release v=12,o=Debian,a=stable-security,n=bookworm-security,l=Debian-Security,c=main,b=amd64
     origin deb.debian.org
 500 http://deb.debian.org/debian bookworm/main amd64 Packages
     release v=12.14,o=Debian,a=stable,n=bookworm,l=Debian,c=main,b=amd64
     origin deb.debian.org
  -1 file:/srv/repository ./ Packages
     release c=
Pinned packages:
     bash -> 5.2 with priority 1001
";

const CANDIDATES: &str = "\
bash:
  Installed: 5.2.15-2+b8
  Candidate: 5.2.15-2+b13
  Version table:
     5.2.15-2+b13 500 (phased 10%)
        500 http://me:secret@deb.debian.org/debian-security bookworm-security/main amd64 Packages
        500 http://deb.debian.org/debian bookworm/main amd64 Packages
 *** 5.2.15-2+b8 100
        100 /var/lib/dpkg/status
local:
  Installed: 1
  Candidate: 1
  Package pin: 1
  Version table:
 *** 1 100
        100 /var/lib/dpkg/status
     0.9 -1
         -1 file:/srv/repository ./ Packages
gone:
  Installed: (none)
  Candidate: (none)
  Version table:
";

#[test]
fn sources_have_name_address_and_security() {
    let origins = origins(POLICY);
    assert_eq!(origins.len(), 3);
    let security =
        &origins["http://me:secret@deb.debian.org/debian-security bookworm-security/main amd64 Packages"];
    assert_eq!(security.name, "Debian-Security:12/stable-security");
    assert_eq!(security.address, "http://deb.debian.org/debian-security bookworm-security/main");
    assert!(security.security);
    assert!(!origins["http://deb.debian.org/debian bookworm/main amd64 Packages"].security);
    assert_eq!(origins["file:/srv/repository ./ Packages"].name, "file:/srv/repository ./");
}

#[test]
fn candidates_have_version_and_sources() {
    let found = candidates(CANDIDATES);
    assert_eq!(found.len(), 2);
    assert_eq!(found["bash"].version, "5.2.15-2+b13");
    assert_eq!(found["bash"].sources.len(), 2);
    assert_eq!(
        found["local"],
        Candidate { version: "1".to_owned(), sources: vec!["/var/lib/dpkg/status".to_owned()] }
    );
}

#[test]
fn a_package_that_is_not_configured_counts_at_its_last_configured_version() {
    let text = "\
b\t1.1\tall\tsrc\t1.1\tinstalled\t
a\t1.1-1+b2\tamd64\tsrc\t1.1-1\thalf-configured\t1.0-1+b1
gone\t1\tall\tgone\t1\tconfig-files\t
new\t2\tall\tnew\t2\tunpacked\t
torn line
";
    let all = installed(text);
    let seen: Vec<_> = all
        .iter()
        .map(|i| {
            (i.package.name.as_str(), i.package.version.as_str(), i.package.source_version.as_str(), i.whole)
        })
        .collect();
    assert_eq!(
        seen,
        [("a", "1.0-1+b1", "1.0-1", false), ("b", "1.1", "1.1", true), ("new", "2", "2", false)]
    );
}

#[test]
fn only_names_and_versions_of_dpkgs_grammar_pass() {
    for good in ["bash", "g++", "libstdc++6", "libc6:i386", "0ad", "python3.11"] {
        assert!(is_package_name(good), "{good}");
    }
    for bad in
        ["", "a", "-o", "--purge", "Bash", "a b", "a;b", "bash/stable", "*", "lib^", "a=1", "libc6:", "a\n"]
    {
        assert!(!is_package_name(bad), "{bad}");
    }
    for good in ["1", "1:2.3-4+deb12u1~bpo1", "5.2.15-2+b13"] {
        assert!(is_version(good), "{good}");
    }
    for bad in ["", "1+", "1-", "-1", "1 2", "1;2", "1/2", "$(x)"] {
        assert!(!is_version(bad), "{bad}");
    }
}
