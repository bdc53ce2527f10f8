//! Plays one scenario against a program and returns its answers in normal form.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use url::form_urlencoded;

use super::normal::Places;
use super::provider::{Provider, through_provider, wait_port};
use super::redis::Redis;
use super::scenario::{Scenario, Step, Tamper};
use super::wire::{CLOSED, Jar, Response, send};
use crate::timing;

/// The flags that every scenario starts from.
const BASE: [&str; 13] = [
    "--http-address={ADDR}",
    "--provider=oidc",
    "--oidc-issuer-url={ISSUER}",
    "--client-id=rp",
    "--client-secret=rp-secret-rp-secret-rp-secret-32",
    "--cookie-secret=0123456789abcdef0123456789abcdef",
    "--email-domain=*",
    "--cookie-secure=false",
    "--redirect-url=http://{ADDR}/oauth2/callback",
    "--upstream=static://202",
    "--session-store-type=redis",
    "--redis-connection-url={REDIS}",
    "--scope=openid email profile groups offline_access",
];

/// Longest wait for the program to serve or to end.
const START: Duration = Duration::from_secs(10);

/// Which program is played, and whether it gets the scenario's `ours` flags.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Path of the program.
    pub program: PathBuf,
    /// Conclave, as opposed to oauth2-proxy.
    pub ours: bool,
}

/// Where scenarios are played: one provider, one address, one directory; use one per thread.
#[derive(Debug)]
pub struct Stage {
    subject: Subject,
    places: Places,
    /// Where Conclave listens for gateways alone.
    gateways: String,
    provider: Provider,
    _redis: Option<Redis>,
    folder: tempfile::TempDir,
}

impl Stage {
    /// Ports `base` to `base + 4` are used.
    pub fn new(subject: Subject, provider: &Path, base: u16) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let addr = format!("127.0.0.1:{}", base + 2);
        let provider = Provider::start(provider, base, &addr);
        let places = Places {
            issuer: format!("http://{}", provider.addr),
            addr,
            dir: folder.path().display().to_string(),
            redis: format!("127.0.0.1:{}", base + 1),
        };
        let redis = (!subject.ours).then(|| Redis::start(base + 1));
        let gateways = format!("127.0.0.1:{}", base + 3);
        Self { subject, places, gateways, provider, _redis: redis, folder }
    }

    /// All answers of one scenario; `must_end` as recorded or as the differences ask.
    ///
    /// Steps in `twice` are asked of the listener for gateways as well, and that answer stands under `gateways`.
    pub fn play(&self, scenario: &Scenario, must_end: bool, twice: &[usize]) -> Result<Vec<Value>, String> {
        let mut run = Run::start(self, scenario);
        if must_end {
            return Ok(vec![run.ended()]);
        }
        if !wait_port(&self.places.addr, START, Some(&mut run.child)) {
            let exit = run.child.try_wait().ok().flatten().and_then(|status| status.code());
            let log = self.places.blank(&run.log());
            let says: Vec<&str> = log.trim().lines().rev().take(6).collect();
            return Ok(vec![json!({"not_started": true, "exit": exit, "says": says})]);
        }
        if scenario.expect_exit {
            return Ok(vec![json!({"serves": true})]);
        }
        let steps = scenario.steps.iter().enumerate();
        steps
            .map(|(number, step)| {
                let at_gateways = twice.contains(&number).then(|| run.at_gateways(step)).transpose()?;
                let mut answer = run.step(step)?;
                if let (Some(other), Some(answer)) = (at_gateways, answer.as_object_mut()) {
                    answer.insert("gateways".to_owned(), other);
                }
                Ok(answer)
            })
            .collect()
    }

    fn flags(&self, scenario: &Scenario) -> Vec<String> {
        let extra = if self.subject.ours { scenario.ours.as_slice() } else { &[] };
        let given: Vec<String> = scenario.args.iter().chain(extra).map(|arg| self.places.fill(arg)).collect();
        let name = |flag: &str| flag.split('=').next().unwrap_or_default().to_owned();
        let replaced: Vec<String> = given.iter().map(|flag| name(flag)).collect();
        let mut flags = Vec::new();
        for flag in BASE.iter().filter(|_| scenario.base).map(|flag| self.places.fill(flag)) {
            let key = name(&flag);
            if !replaced.contains(&key) && !scenario.without.iter().any(|out| *out == key.trim_start_matches('-')) {
                flags.push(flag);
            }
        }
        flags.extend(given);
        flags
    }
}

struct Run<'s> {
    stage: &'s Stage,
    child: Child,
    log: PathBuf,
    jars: HashMap<String, Jar>,
    at_provider: HashMap<(String, String), Jar>,
    begun: HashMap<String, String>,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl<'s> Run<'s> {
    fn start(stage: &'s Stage, scenario: &Scenario) -> Self {
        let dir = stage.folder.path();
        for (name, text) in &scenario.files {
            write_file(dir, name, &stage.places.fill(text));
        }
        let data = dir.join("data");
        let _ = fs::remove_dir_all(&data);
        let log = dir.join("product.log");
        let out = File::create(&log).expect("the log can be written");
        let kept =
            std::env::vars().filter(|(name, _)| !name.starts_with("OAUTH2_PROXY_") && !name.starts_with("CONCLAVE_"));
        let env: BTreeMap<&String, String> =
            scenario.env.iter().map(|(name, value)| (name, stage.places.fill(value))).collect();
        let mut command = Command::new(&stage.subject.program);
        command.args(stage.flags(scenario)).current_dir(dir).env_clear().envs(kept);
        if stage.subject.ours {
            command.env("CONCLAVE_DATA_DIR", &data).env("CONCLAVE_ADMIN_ADDRESS", "127.0.0.1:0");
            command.env("CONCLAVE_AUTH_ADDRESS", &stage.gateways);
        }
        let child = command
            .envs(env)
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("a second handle"))
            .stderr(out)
            .spawn()
            .expect("the program starts");
        Self { stage, child, log, jars: HashMap::new(), at_provider: HashMap::new(), begun: HashMap::new() }
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    fn ended(&mut self) -> Value {
        let mut exit = json!("kept running");
        timing::holds_within(START, || {
            let Ok(Some(status)) = self.child.try_wait() else { return false };
            exit = json!(status.code());
            true
        });
        json!({"exit": exit, "log": self.log()})
    }

    fn step(&mut self, step: &Step) -> Result<Value, String> {
        if let Some(seconds) = step.sleep {
            timing::pause(Duration::from_secs_f64(seconds));
            return Ok(Value::Null);
        }
        if let Some(files) = &step.write {
            for (name, text) in files {
                write_file(self.stage.folder.path(), name, &self.stage.places.fill(text));
            }
            return Ok(Value::Null);
        }
        if let Some(user) = step.login.as_ref().or(step.begin.as_ref()) {
            return self.login(step, user);
        }
        if let Some(tamper) = &step.callback {
            return self.callback(step, tamper);
        }
        self.request(step)
    }

    fn who(step: &Step) -> String {
        step.who.clone().unwrap_or_else(|| "default".to_owned())
    }

    /// The step's own headers and, unless it brings its own, the jar's cookies.
    fn headers(&self, step: &Step) -> Vec<(String, String)> {
        let fill = |text: &String| self.stage.places.fill(text);
        let mut headers: Vec<(String, String)> = Vec::new();
        for (name, values) in &step.headers {
            headers.extend(values.iter().map(|value| (fill(name), fill(value))));
        }
        let cookies = match &step.cookie {
            Some(given) => (!given.is_empty()).then(|| fill(given)),
            None => self.jars.get(&Self::who(step)).and_then(Jar::header),
        };
        headers.extend(cookies.map(|cookies| ("Cookie".to_owned(), cookies)));
        headers
    }

    fn send(
        &mut self,
        step: &Step,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: Option<&str>,
    ) -> Result<Response, String> {
        let response = send(&self.stage.places.addr, method, path, headers, body)
            .map_err(|error| format!("{method} {path}: {error}"))?;
        if !step.keep_jar {
            self.jars.entry(Self::who(step)).or_default().take(&response);
        }
        Ok(response)
    }

    fn request(&mut self, step: &Step) -> Result<Value, String> {
        let mut headers = self.headers(step);
        if let Some(claims) = &step.bearer {
            let token = send(
                &self.stage.provider.addr,
                "POST",
                "/mint",
                &[("Content-Type".into(), "application/json".into())],
                Some(&self.stage.places.fill(&claims.to_string())),
            );
            let token = token.map_err(|error| format!("mint: {error}"))?.text();
            headers.push(("Authorization".into(), format!("Bearer {token}")));
        }
        let path = self.stage.places.fill(step.path.as_deref().unwrap_or("/"));
        let body = step.body.as_ref().map(|body| self.stage.places.fill(body));
        let method = step.method.as_deref().unwrap_or("GET");
        match self.send(step, method, &path, &headers, body.as_deref()) {
            Ok(response) => Ok(self.stage.places.answer(&response, &step.want)),
            // A connection that is closed without an answer is an answer too: what it is held against says.
            Err(error) if error.contains(CLOSED) => Ok(json!({"closed": true})),
            Err(error) => Err(error),
        }
    }

    /// The same check at the listener for gateways; what it answers does not reach the jar.
    fn at_gateways(&self, step: &Step) -> Result<Value, String> {
        let path = self.stage.places.fill(step.path.as_deref().unwrap_or("/"));
        let response = send(&self.stage.gateways, "GET", &path, &self.headers(step), None);
        let response = response.map_err(|error| format!("{path} at the listener for gateways: {error}"))?;
        Ok(self.stage.places.answer(&response, &step.want))
    }

    fn login(&mut self, step: &Step, user: &str) -> Result<Value, String> {
        let path = self.stage.places.fill(step.start.as_deref().unwrap_or("/oauth2/start"));
        let headers = self.headers(step);
        let response = self.send(step, "GET", &path, &headers, None)?;
        let start = self.stage.places.answer(&response, &step.want);
        if response.status != 302 {
            return Ok(json!({"start": start}));
        }
        let jar = self.at_provider.entry((Self::who(step), user.to_owned())).or_default();
        let back = through_provider(&self.stage.provider.addr, &response, jar, user)?;
        let back = url::Url::parse(&back).map_err(|error| format!("{back}: {error}"))?;
        let path = back.query().map_or_else(|| back.path().to_owned(), |query| format!("{}?{query}", back.path()));
        if step.begin.is_some() {
            self.begun.insert(Self::who(step), path);
            return Ok(json!({"start": start}));
        }
        let mut headers = self.headers(step);
        headers.retain(|(name, _)| !name.eq_ignore_ascii_case("x-auth-request-redirect"));
        let response = self.send(step, "GET", &path, &headers, None)?;
        Ok(json!({"start": start, "callback": self.stage.places.answer(&response, &step.want)}))
    }

    fn callback(&mut self, step: &Step, tamper: &Tamper) -> Result<Value, String> {
        let kept = self.begun.get(&Self::who(step)).cloned().ok_or("no login was begun")?;
        let (path, query) = kept.split_once('?').unwrap_or((&kept, ""));
        let mut pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        for (key, value) in &tamper.set {
            pairs.retain(|(name, _)| name != key);
            pairs.push((key.clone(), self.stage.places.fill(value)));
        }
        pairs.retain(|(name, _)| !tamper.drop.contains(name));
        if let Some(target) = &tamper.state_redirect {
            for (_, value) in pairs.iter_mut().filter(|(name, _)| name == "state") {
                let head = value.split(':').next().unwrap_or_default();
                *value = format!("{head}:{}", self.stage.places.fill(target));
            }
        }
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
        let mut headers = self.headers(step);
        let method = tamper.method.as_deref().unwrap_or("GET");
        let response = if method == "POST" {
            headers.push(("Content-Type".into(), "application/x-www-form-urlencoded".into()));
            self.send(step, method, path, &headers, Some(&query))?
        } else {
            self.send(step, method, &format!("{path}?{query}"), &headers, None)?
        };
        Ok(self.stage.places.answer(&response, &step.want))
    }
}

fn write_file(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    let parent = path.parent().unwrap_or(dir);
    fs::create_dir_all(parent).expect("the directory can be made");
    fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
