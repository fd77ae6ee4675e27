//! About 200 requests a second of every kind: pages, some that take two seconds, uploads that trickle in, event streams
//! that are left after two seconds, and a few that are never left.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::{Body, Client, RequestBuilder, Response};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use windlass_core::Timestamp;

use crate::world::{HOST, World};

const PACE: Duration = Duration::from_millis(5);
/// Nothing may be silent for longer.
const SILENCE: Duration = Duration::from_secs(30);
/// What an upload brings, each piece a little later than the one before.
const PIECES: u64 = 10;
const PIECE: [u8; 8192] = [7; 8192];
const PIECE_EVERY: Duration = Duration::from_millis(100);
/// The app sends one every 100 ms.
const EVENTS: usize = 20;
const FOLLOWERS: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Page,
    Slow,
    Upload,
    Stream,
    Followed,
}

const KINDS: [Kind; 5] = [Kind::Page, Kind::Slow, Kind::Upload, Kind::Stream, Kind::Followed];

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Count {
    answered: BTreeMap<Kind, u64>,
    pub(crate) failures: Vec<String>,
}

/// Goes on until it is stopped.
pub(crate) struct Traffic {
    stop: CancellationToken,
    requests: JoinHandle<Count>,
    followers: JoinSet<Result<u64, String>>,
}

impl Traffic {
    pub(crate) fn start(world: &World) -> Self {
        let client = Client::builder().read_timeout(SILENCE).build().unwrap();
        let app = App { client, url: format!("http://{}", world.gateway_address) };
        let stop = CancellationToken::new();
        let mut followers = JoinSet::new();
        for _ in 0..FOLLOWERS {
            followers.spawn(app.clone().follow(stop.clone()));
        }
        Self { requests: tokio::spawn(send(app, stop.clone())), followers, stop }
    }

    /// Waits for what is under way, and counts.
    pub(crate) async fn stop(mut self) -> Count {
        self.stop.cancel();
        let mut count = self.requests.await.unwrap();
        while let Some(followed) = self.followers.join_next().await {
            match followed.unwrap() {
                Ok(streams) => *count.answered.entry(Kind::Followed).or_default() += streams,
                Err(why) => count.failures.push(why),
            }
        }
        count
    }
}

async fn send(app: App, stop: CancellationToken) -> Count {
    let mut count = Count::default();
    let mut pace = tokio::time::interval(PACE);
    // A machine that cannot keep up is asked less, not all at once.
    pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut under_way = JoinSet::new();
    for number in 0_u64.. {
        tokio::select! {
            _ = pace.tick() => {}
            () = stop.cancelled() => break,
        }
        under_way.spawn(app.clone().ask(Kind::of(number)));
        while let Some(done) = under_way.try_join_next() {
            count.add(done.unwrap());
        }
    }
    while let Some(done) = under_way.join_next().await {
        count.add(done.unwrap());
    }
    count
}

impl Kind {
    /// Of forty, one is slow, two bring something, and one listens.
    const fn of(number: u64) -> Self {
        match number % 40 {
            0 => Self::Slow,
            10 | 30 => Self::Upload,
            20 => Self::Stream,
            _ => Self::Page,
        }
    }
}

impl Count {
    fn add(&mut self, (kind, result): (Kind, Result<(), String>)) {
        match result {
            Ok(()) => *self.answered.entry(kind).or_default() += 1,
            Err(why) => self.failures.push(format!("{:.3} {kind:?}: {why}", Timestamp::now())),
        }
    }

    pub(crate) fn every_kind_was_answered(&self) -> bool {
        KINDS.iter().all(|kind| self.answered.contains_key(kind))
    }
}

impl fmt::Display for Count {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |kind: Kind| self.answered.get(&kind).copied().unwrap_or_default();
        write!(
            formatter,
            "{} pages, {} slow requests of 2 s, {} uploads of 1 s, {} event streams of 2 s, {} event streams that were \
             followed on; {} failed",
            of(Kind::Page),
            of(Kind::Slow),
            of(Kind::Upload),
            of(Kind::Stream),
            of(Kind::Followed),
            self.failures.len()
        )
    }
}

#[derive(Clone)]
struct App {
    client: Client,
    url: String,
}

impl App {
    async fn ask(self, kind: Kind) -> (Kind, Result<(), String>) {
        let result = match kind {
            Kind::Page => self.expect(self.get("/"), "release ").await,
            Kind::Slow => self.expect(self.get("/slow?ms=2000"), "slept 2000 ms").await,
            Kind::Upload => self.upload().await,
            Kind::Stream | Kind::Followed => self.listen_a_while().await,
        };
        (kind, result)
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url)).header("host", HOST)
    }

    async fn expect(&self, request: RequestBuilder, beginning: &str) -> Result<(), String> {
        let text = good(request).await?.text().await.map_err(|error| format!("{error:?}"))?;
        if text.starts_with(beginning) { Ok(()) } else { Err(text) }
    }

    async fn upload(&self) -> Result<(), String> {
        let pieces = futures_util::stream::iter(0..PIECES).then(|_| async {
            tokio::time::sleep(PIECE_EVERY).await;
            Ok::<_, std::convert::Infallible>(PIECE.to_vec())
        });
        let request = self.client.post(format!("{}/upload", self.url)).header("host", HOST);
        let whole = format!("received {} bytes", PIECES * PIECE.len() as u64);
        self.expect(request.body(Body::wrap_stream(pieces)), &whole).await
    }

    /// Leaves by itself; until then every event is the next of the same release.
    async fn listen_a_while(&self) -> Result<(), String> {
        let mut answer = good(self.get("/events")).await?;
        let mut heard = Heard::default();
        while heard.events < EVENTS {
            let more = answer.chunk().await.map_err(|error| format!("after {} events: {error:?}", heard.events))?;
            heard.take(&more.ok_or_else(|| format!("ended after {} events", heard.events))?)?;
        }
        Ok(())
    }

    /// Never leaves: a stream without an end outlives the time to drain and is cut then. Whoever follows it, as browsers
    /// do, comes back at once, and is to find somebody. Gives how often.
    async fn follow(self, stop: CancellationToken) -> Result<u64, String> {
        let mut streams = 0;
        while !stop.is_cancelled() {
            let mut answer = good(self.get("/events")).await.map_err(|error| format!("Followed: {error}"))?;
            streams += 1;
            let mut heard = Heard::default();
            loop {
                let more = tokio::select! {
                    more = answer.chunk() => more,
                    () = stop.cancelled() => break,
                };
                let Ok(Some(more)) = more else { break };
                heard.take(&more)?;
            }
            if heard.events == 0 && !stop.is_cancelled() {
                return Err("Followed: a stream without an event".to_owned());
            }
        }
        Ok(streams)
    }
}

async fn good(request: RequestBuilder) -> Result<Response, String> {
    let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
    let status = answer.status();
    if status == 200 { Ok(answer) } else { Err(format!("{status} {}", answer.text().await.unwrap_or_default())) }
}

/// What an event stream has said so far.
#[derive(Default)]
struct Heard {
    events: usize,
    release: Option<String>,
    rest: String,
}

impl Heard {
    /// `data: release 2 event 7`: each the one after the last, and of the same release.
    fn take(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.rest.push_str(&String::from_utf8_lossy(bytes));
        while let Some((event, rest)) = self.rest.split_once("\n\n") {
            let data = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or_default();
            let (release, number) = data.split_once(" event ").ok_or_else(|| format!("no event: {event:?}"))?;
            self.events += 1;
            let first = self.release.get_or_insert_with(|| release.to_owned());
            if number != self.events.to_string() || *first != release {
                return Err(format!("event {} of {first} was {data:?}", self.events));
            }
            self.rest = rest.to_owned();
        }
        Ok(())
    }
}
