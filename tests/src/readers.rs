//! Real servers that say which resource a request target is to them: nginx, Go, Node, Python and Tomcat.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::Process;
use crate::raw::exchange;
use crate::workdir::WorkDir;
use crate::{Failure, ports, process, repository};

/// A cold start of Tomcat takes 3 s on a free core.
const UP_WITHIN: Duration = Duration::from_secs(90);

/// An answer takes milliseconds; the first page of Tomcat is compiled first.
const PATIENCE: Duration = Duration::from_secs(20);

/// One way in which one server resolves paths.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    /// For the reader of a failure.
    pub name: &'static str,
    /// Where it listens.
    pub address: SocketAddr,
    /// It keeps `%25` as well, as the servlet API asks for beside a `%2f` that is kept: the application decodes it.
    keeps_percent: bool,
}

impl Reader {
    /// One that answers with the resource.
    pub fn new(name: &'static str, address: SocketAddr) -> Self {
        Self { name, address, keeps_percent: false }
    }

    fn draw(name: &'static str) -> Self {
        Self::new(name, ports::free_address())
    }

    /// The resource that this target is to it, as bytes; `None` where it answers anything but 200.
    pub async fn resolve(self, target: &str) -> Result<Option<Vec<u8>>, Failure> {
        let request = format!("GET {target} HTTP/1.1\r\nHost: app.example.test\r\nConnection: close\r\n\r\n");
        let heard = exchange(IpAddr::V4(Ipv4Addr::LOCALHOST), self.address, request.as_bytes(), PATIENCE).await?;
        if heard.statuses().first() != Some(&200) {
            return Ok(None);
        }
        let head = heard.bytes.windows(4).position(|four| four == b"\r\n\r\n").ok_or("an answer without an end")?;
        let (head, body) = (&heard.bytes[..head], &heard.bytes[head + 4..]);
        if head.to_ascii_lowercase().windows(8).any(|part| part == b": chunked") {
            return Err(format!("{} answers in chunks", self.name).into());
        }
        if self.keeps_percent {
            return Ok(Some(String::from_utf8_lossy(body).replace("%25", "%").into_bytes()));
        }
        Ok(Some(body.to_vec()))
    }
}

/// The servers, running. Dropping them kills them.
#[derive(Debug)]
pub struct Readers {
    /// Every way.
    pub list: Vec<Reader>,
    /// Go's file server over the directory given.
    pub files: SocketAddr,
    /// Tomcat, where it is installed: it answers with the resource.
    pub tomcat: Option<SocketAddr>,
    _processes: Vec<Process>,
}

impl Readers {
    /// Starts them all; Tomcat only where Java is, unless the run is `whole`.
    pub async fn start(dir: &WorkDir, root: &Path, whole: bool) -> Result<Self, Failure> {
        let files = ports::free_address();
        let mut all = Self { list: Vec::new(), files, tomcat: None, _processes: Vec::new() };
        all.nginx(dir).await?;
        all.go(dir, root).await?;
        all.node(dir).await?;
        all.python(dir).await?;
        if whole || process::run("sh", &["-c", "command -v java || true"])?.contains("java") {
            all.tomcat(dir).await?;
        }
        Ok(all)
    }

    async fn add(&mut self, mut process: Process, readers: &[Reader]) -> Result<(), Failure> {
        for reader in readers {
            process.listening(reader.address, UP_WITHIN).await?;
        }
        self.list.extend_from_slice(readers);
        self._processes.push(process);
        Ok(())
    }

    async fn nginx(&mut self, dir: &WorkDir) -> Result<(), Failure> {
        let readers = [Reader::draw("nginx"), Reader::draw("nginx, slashes kept")];
        let home = dir.sub("nginx-readings");
        let config = home.join("nginx.conf");
        let text = include_str!("readers/nginx.conf")
            .replace("@MERGED@", &readers[0].address.to_string())
            .replace("@WHOLE@", &readers[1].address.to_string());
        std::fs::write(&config, text)?;
        let prefix = format!("{}/", home.display());
        let args = ["-p".as_ref(), prefix.as_ref(), "-c".as_ref(), config.as_os_str()];
        let process = Process::start("nginx", &dir.join("nginx-readings.log"), "nginx".as_ref(), &args)?;
        self.add(process.with_children(), &readers).await
    }

    async fn go(&mut self, dir: &WorkDir, root: &Path) -> Result<(), Failure> {
        let readers = ["Go ServeMux", "Go handler", "Go FileServer"].map(Reader::draw);
        let (program, source) = (dir.join("go-readings"), source("go.go"));
        // The standard library alone: nothing is fetched.
        let build =
            format!("GOTOOLCHAIN=local GOPROXY=off GOFLAGS= go build -o {} {}", program.display(), source.display());
        process::run("sh", &["-c", &build])?;
        let mut args: Vec<String> = readers.iter().map(|reader| reader.address.to_string()).collect();
        args.extend([self.files.to_string(), root.display().to_string()]);
        let mut process = Process::start("go", &dir.join("go.log"), &program, &args)?;
        process.listening(self.files, UP_WITHIN).await?;
        self.add(process, &readers).await
    }

    async fn node(&mut self, dir: &WorkDir) -> Result<(), Failure> {
        let readers = ["Node URL", "Node by hand", "Node parseurl"].map(Reader::draw);
        let mut args = vec![source("node.mjs").display().to_string()];
        args.extend(readers.iter().map(|reader| reader.address.to_string()));
        args.push(repository().join("tests/package.json").display().to_string());
        let process = Process::start("node", &dir.join("node.log"), "node".as_ref(), &args)?;
        self.add(process, &readers).await
    }

    async fn python(&mut self, dir: &WorkDir) -> Result<(), Failure> {
        let readers = ["Python http.server", "Python WSGI"].map(Reader::draw);
        let mut args = vec![source("python.py").display().to_string()];
        args.extend(readers.iter().map(|reader| reader.address.to_string()));
        let process = Process::start("python", &dir.join("python.log"), "python3".as_ref(), &args)?;
        self.add(process, &readers).await
    }

    async fn tomcat(&mut self, dir: &WorkDir) -> Result<(), Failure> {
        let readers = [Reader::draw("Tomcat"), Reader { keeps_percent: true, ..Reader::draw("Tomcat, %2f kept") }];
        let (home, installed) = (dir.sub("tomcat"), tomcat_home()?);
        for part in ["conf", "logs", "temp", "work", "webapps"] {
            std::fs::create_dir_all(home.join(part))?;
        }
        // Its own defaults for web applications: pages are compiled by them.
        std::fs::copy(installed.join("conf/web.xml"), home.join("conf/web.xml"))?;
        let text = include_str!("readers/server.xml")
            .replace("@DECODE@", &readers[0].address.port().to_string())
            .replace("@KEEP@", &readers[1].address.port().to_string())
            .replace("@WEBAPP@", &source("webapp").display().to_string());
        std::fs::write(home.join("conf/server.xml"), text)?;
        let jars = ["bin/bootstrap.jar", "bin/tomcat-juli.jar"].map(|jar| installed.join(jar).display().to_string());
        let args = [
            "-Xmx192m".to_owned(),
            "-XX:TieredStopAtLevel=1".to_owned(),
            format!("-Dcatalina.home={}", installed.display()),
            format!("-Dcatalina.base={}", home.display()),
            format!("-Djava.io.tmpdir={}", home.join("temp").display()),
            "-cp".to_owned(),
            jars.join(":"),
            "org.apache.catalina.startup.Bootstrap".to_owned(),
            "start".to_owned(),
        ];
        let process = Process::start("tomcat", &dir.join("tomcat.log"), "java".as_ref(), &args)?;
        self.tomcat = Some(readers[0].address);
        self.add(process, &readers).await
    }
}

fn source(name: &str) -> PathBuf {
    repository().join("tests/src/readers").join(name)
}

/// Where `tests/scripts/parts.sh` unpacks it.
fn tomcat_home() -> Result<PathBuf, Failure> {
    let missing = "Tomcat is missing: `make parts` installs it where Java is, `make parts-full` with Java";
    let entries = std::fs::read_dir(repository().join(".tools/tomcat")).map_err(|_| missing)?;
    let found = entries.flatten().map(|entry| entry.path()).find(|path| path.join("bin/bootstrap.jar").exists());
    found.ok_or_else(|| missing.into())
}
