//! A PostgreSQL cluster of a test's own: its transaction ids begin anew.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// The user and group `nobody`: PostgreSQL refuses root.
const NOBODY: u32 = 65534;
const START_LIMIT: Duration = Duration::from_mins(1);

/// Where PostgreSQL's programs are.
#[derive(Clone)]
pub(crate) struct Programs {
    bin: PathBuf,
    libraries: Option<PathBuf>,
}

impl Programs {
    /// Those that `cargo xtask test` uses, or installed ones; none where there are neither.
    pub(crate) fn find() -> Option<Self> {
        let given = |variable: &str| std::env::var_os(variable).map(PathBuf::from);
        let complete = |bin: &PathBuf| {
            ["initdb", "pg_dump", "pg_restore", "psql", "vacuumdb"]
                .iter()
                .all(|name| bin.join(name).is_file())
        };
        if let Some(bin) = given("PATCHFLEET_TEST_POSTGRES_BIN").filter(complete) {
            return Some(Self { bin, libraries: given("PATCHFLEET_TEST_POSTGRES_LIBRARIES") });
        }
        let mut installed: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .flatten()
            .map(|version| version.path().join("bin"))
            .filter(complete)
            .collect();
        installed.sort();
        Some(Self { bin: installed.pop()?, libraries: None })
    }

    /// A call of a program, as a user that the server accepts.
    pub(crate) fn call(&self, name: &str) -> Command {
        let program = self.bin.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"), "--clear-groups".into()]);
            command.arg("--").arg(program);
            command
        } else {
            Command::new(program)
        };
        command.env("LC_ALL", "C").stdin(Stdio::null()).current_dir("/");
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    }
}

/// A running cluster, removed at the end.
pub(crate) struct Cluster {
    programs: Programs,
    folder: PathBuf,
    port: u16,
    password: String,
    server: Child,
}

impl Cluster {
    pub(crate) fn start(programs: &Programs) -> Self {
        let unique: uuid::Uuid = testkit::id();
        let folder = std::env::temp_dir().join(format!("patchfleet-cluster-{unique}"));
        fs::create_dir(&folder).unwrap();
        give_away(&folder, 0o700);
        let password = unique.simple().to_string();
        let password_file = folder.join("password");
        fs::write(&password_file, &password).unwrap();
        give_away(&password_file, 0o600);
        let data = folder.join("data");
        let mut initdb = programs.call("initdb");
        initdb.arg("-D").arg(&data).arg("--pwfile").arg(&password_file);
        initdb.args([
            "--username=postgres",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ]);
        succeed(&mut initdb);
        // The services' role has no password until somebody gives it one.
        fs::write(
            data.join("pg_hba.conf"),
            "host all patchfleet_service 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n",
        )
        .unwrap();
        // Free now; whoever takes it in between makes the start fail, not the test pass.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut postgres = programs.call("postgres");
        postgres.arg("-D").arg(&data).args(["-p", &port.to_string()]);
        for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "jit=off"] {
            postgres.args(["-c", setting]);
        }
        let log = fs::File::create(folder.join("log")).unwrap();
        let server = postgres.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let mut cluster = Self { programs: programs.clone(), folder, port, password, server };
        cluster.wait_until_ready();
        cluster
    }

    fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let status = fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap_or_default();
            if status.lines().any(|line| line.trim() == "ready") {
                return;
            }
            let ended = self.server.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    pub(crate) fn owner_url(&self, database: &str) -> String {
        format!("postgres://postgres:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    pub(crate) fn service_url(&self, database: &str) -> String {
        format!("postgres://patchfleet_service@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs one of the client programs against a database, as the superuser; answers with what it printed.
    pub(crate) fn client(&self, program: &str, database: &str, arguments: &[&str]) -> String {
        let mut command = self.programs.call(program);
        command.arg(format!("--dbname={}", self.owner_url(database))).args(arguments);
        succeed(&mut command)
    }

    /// A file that the server's user can write and read.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // As a crash: nothing is to be kept.
        let _ = Command::new("kill").arg("-QUIT").arg(self.server.id().to_string()).status();
        let _ = self.server.wait();
        if std::thread::panicking() {
            eprintln!("kept the failed test's cluster: {}", self.folder.display());
        } else {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|ourselves| ourselves.uid() == 0)
}

fn give_away(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}
