//! What rpm says (with `LC_ALL=C`), read without trust in its form.

use contracts::agent::InstalledPackage;

/// For `rpm --queryformat`. What a package does not have is `(none)`.
pub(super) const FORMAT: &str = "%{NAME}\\t%{EPOCHNUM}\\t%{VERSION}-%{RELEASE}\\t%{ARCH}\\t%{SOURCERPM}\\t%{INSTALLTIME}\\t%{MODULARITYLABEL}\\n";
/// The same for an rpm that knows no modules.
pub(super) const FORMAT_WITHOUT_MODULES: &str =
    "%{NAME}\\t%{EPOCHNUM}\\t%{VERSION}-%{RELEASE}\\t%{ARCH}\\t%{SOURCERPM}\\t%{INSTALLTIME}\\t(none)\\n";

/// Keys that signed packages are in the database as if they were packages.
const KEYS: &str = "gpg-pubkey";
const NONE: &str = "(none)";

/// Packages that are effective only after a restart: those of `needs-restarting`, by whole name.
const RESTARTED: [&str; 14] = [
    "kernel",
    "kernel-core",
    "kernel-default",
    "kernel-rt",
    "glibc",
    "linux-firmware",
    "systemd",
    "udev",
    "openssl-libs",
    "gnutls",
    "dbus",
    "dbus-daemon",
    "dbus-broker",
    "microcode_ctl",
];

/// A package as rpm has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Installed {
    pub(super) package: InstalledPackage,
    /// Seconds since 1970.
    pub(super) installed_at: Option<u64>,
}

/// Reads the lines of [`FORMAT`].
pub(super) fn installed(text: &str) -> Vec<Installed> {
    text.lines().filter_map(line).collect()
}

fn line(line: &str) -> Option<Installed> {
    let mut fields = line.split('\t');
    let (name, epoch, version, architecture) =
        (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let (source, installed_at, label) = (fields.next()?, fields.next()?, fields.next()?);
    if name == KEYS || name.is_empty() {
        return None;
    }
    let (source, source_version) = source_of(source).unwrap_or((name, version));
    let package = InstalledPackage {
        name: name.to_owned(),
        version: if ["0", "", NONE].contains(&epoch) {
            version.to_owned()
        } else {
            format!("{epoch}:{version}")
        },
        architecture: architecture.to_owned(),
        source: source.to_owned(),
        source_version: source_version.to_owned(),
        module: stream_of(label),
    };
    Some(Installed { package, installed_at: installed_at.parse().ok() })
}

/// `openssl` and `3.0.7-24.el9` of `openssl-3.0.7-24.el9.src.rpm`.
fn source_of(file: &str) -> Option<(&str, &str)> {
    let stem = file.strip_suffix(".src.rpm").or_else(|| file.strip_suffix(".nosrc.rpm"))?;
    let release = stem.rfind('-')?;
    let version = stem.get(..release)?.rfind('-')?;
    Some((stem.get(..version)?, stem.get(version + 1..)?))
}

/// `nodejs:18` of `nodejs:18:8090020231030152411:rhel8`.
fn stream_of(label: &str) -> Option<String> {
    let mut parts = label.split(':');
    let (name, stream) = (parts.next()?, parts.next()?);
    (!name.is_empty() && !stream.is_empty()).then(|| format!("{name}:{stream}"))
}

/// When the system was started, from `/proc/stat`, in seconds since 1970.
pub(super) fn boot_time(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// Whether something that is effective only after a restart is younger than the last one.
pub(super) fn needs_restart(installed: &[Installed], started_at: u64) -> bool {
    installed.iter().any(|it| {
        RESTARTED.contains(&it.package.name.as_str()) && it.installed_at.is_some_and(|at| at > started_at)
    })
}

#[cfg(test)]
mod tests {
    use super::{Installed, boot_time, installed, needs_restart};

    /// As an `AlmaLinux` 8 with a module stream and two kernels says it.
    const ALMA: &str = "\
gpg-pubkey\t0\t3abb34f8-5ffd890e\t(none)\t(none)\t1700000000\t(none)
bash\t0\t4.4.20-4.el8_6\tx86_64\tbash-4.4.20-4.el8_6.src.rpm\t1700000001\t(none)
openssl-libs\t1\t1.1.1k-12.el8_9\tx86_64\topenssl-1.1.1k-12.el8_9.src.rpm\t1700000002\t(none)
nodejs\t1\t18.19.0-1.module_el8.9.0+3715+2ff8fb8c\tx86_64\tnodejs-18.19.0-1.module_el8.9.0+3715+2ff8fb8c.src.rpm\t1700000003\tnodejs:18:8090020240111150228:a75119d5
kernel-core\t0\t4.18.0-513.9.1.el8_9\tx86_64\tkernel-4.18.0-513.9.1.el8_9.src.rpm\t1700000004\t(none)
kernel-core\t0\t4.18.0-513.11.1.el8_9\tx86_64\tkernel-4.18.0-513.11.1.el8_9.src.rpm\t1700000900\t(none)
java-1.8.0-openjdk-headless\t1\t1.8.0.402.b06-2.el8\tx86_64\tjava-1.8.0-openjdk-1.8.0.402.b06-2.el8.src.rpm\t1700000005\t(none)
home-made\t0\t1.0-1\tnoarch\t(none)\t1700000006\t(none)
";

    fn told(all: &[Installed]) -> Vec<String> {
        all.iter()
            .map(|it| {
                let p = &it.package;
                let module = p.module.as_deref().unwrap_or("-");
                format!(
                    "{} {} {} {} {} {module}",
                    p.name, p.version, p.architecture, p.source, p.source_version
                )
            })
            .collect()
    }

    #[test]
    fn packages_have_epoch_source_and_module() {
        assert_eq!(
            told(&installed(ALMA)),
            [
                "bash 4.4.20-4.el8_6 x86_64 bash 4.4.20-4.el8_6 -",
                "openssl-libs 1:1.1.1k-12.el8_9 x86_64 openssl 1.1.1k-12.el8_9 -",
                "nodejs 1:18.19.0-1.module_el8.9.0+3715+2ff8fb8c x86_64 nodejs 18.19.0-1.module_el8.9.0+3715+2ff8fb8c nodejs:18",
                "kernel-core 4.18.0-513.9.1.el8_9 x86_64 kernel 4.18.0-513.9.1.el8_9 -",
                "kernel-core 4.18.0-513.11.1.el8_9 x86_64 kernel 4.18.0-513.11.1.el8_9 -",
                "java-1.8.0-openjdk-headless 1:1.8.0.402.b06-2.el8 x86_64 java-1.8.0-openjdk 1.8.0.402.b06-2.el8 -",
                "home-made 1.0-1 noarch home-made 1.0-1 -",
            ]
        );
    }

    #[test]
    fn what_is_no_line_of_ours_is_left_out() {
        let text = "warning: waiting for shared lock on /var/lib/rpm/.rpm.lock\n\nbash\t0\t5-1\n";
        assert_eq!(installed(text), []);
    }

    #[test]
    fn a_kernel_that_came_after_the_start_needs_a_restart() {
        let all = installed(ALMA);
        assert_eq!(boot_time("cpu  1 2 3\nbtime 1700000100\nprocesses 5\n"), Some(1_700_000_100));
        assert_eq!(boot_time("cpu 1\n"), None);
        assert!(needs_restart(&all, 1_700_000_100));
        assert!(!needs_restart(&all, 1_700_000_900));
    }
}
