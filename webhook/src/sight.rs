//! What each host showed last. Whoever shows something waits a little for the hosts, and then says what is known and
//! since when. A host that does not answer is asked by one call at a time, however many want to know.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use windlass_core::api::{HostPart, SilentHost};
use windlass_core::gateway::GatewayStatus;
use windlass_core::names::HostName;
use windlass_core::task::ObservedTask;
use windlass_engine::{Host, Hosts};

/// How long whoever shows something waits for a host.
pub(crate) const PATIENCE: Duration = Duration::from_millis(1_500);
/// How long whoever can wait does.
pub(crate) const LONG_PATIENCE: Duration = Duration::from_secs(10);
/// So long a question may stay open before it is asked again.
const LONGEST: Duration = Duration::from_secs(30);

/// The hosts as they were seen last.
#[derive(Debug)]
pub(crate) struct Sights(BTreeMap<HostName, Sight>);

impl Sights {
    pub(crate) fn of(hosts: &Hosts) -> Self {
        Self(hosts.iter().map(|(name, host)| (name.clone(), Sight::of(host.clone()))).collect())
    }

    pub(crate) fn get(&self, name: &HostName) -> Option<&Sight> {
        self.0.get(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&HostName, &Sight)> {
        self.0.iter()
    }
}

/// Hosts that were not looked at since the start.
#[derive(Debug)]
pub(crate) struct Unseen(Mutex<BTreeSet<HostName>>);

impl Unseen {
    pub(crate) fn all(hosts: impl Iterator<Item = HostName>) -> Self {
        Self(Mutex::new(hosts.collect()))
    }

    pub(crate) fn names(&self) -> BTreeSet<HostName> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn was_seen(&self, host: &HostName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(host);
    }
}

/// One host as it was seen last.
#[derive(Debug)]
pub(crate) struct Sight {
    host: Host,
    tasks: Question<Vec<ObservedTask>>,
    engine: Question<String>,
    gateway: Question<GatewayStatus>,
}

impl Sight {
    fn of(host: Host) -> Self {
        Self { host, tasks: Question::new(), engine: Question::new(), gateway: Question::new() }
    }

    /// All containers of this installation.
    pub(crate) async fn tasks(&self, patience: Duration) -> Seen<Vec<ObservedTask>> {
        let engine = &self.host.engine;
        let ask = || {
            let engine = engine.clone();
            async move { engine.observe().await }
        };
        self.tasks.ask(patience, ask).await
    }

    /// The version of the engine's API.
    pub(crate) async fn engine(&self) -> Seen<String> {
        let engine = &self.host.engine;
        let ask = || {
            let engine = engine.clone();
            async move { engine.ping().await.map(|()| engine.api_version()) }
        };
        self.engine.ask(PATIENCE, ask).await
    }

    /// What its gateway knows; `None` where it has none.
    pub(crate) async fn gateway(&self) -> Option<Seen<GatewayStatus>> {
        let gateway = self.host.gateway.as_ref()?;
        let ask = || {
            let gateway = gateway.clone();
            async move { gateway.status().await }
        };
        Some(self.gateway.ask(PATIENCE, ask).await)
    }
}

/// What is known of something that was asked.
#[derive(Debug, Clone)]
pub(crate) struct Seen<T> {
    /// The last answer, and when it came.
    pub(crate) answer: Option<(Timestamp, T)>,
    /// Why that is not from now.
    pub(crate) silence: Option<Silence>,
}

impl<T> Seen<T> {
    /// The answer, where it is from now.
    pub(crate) fn fresh(self) -> Result<T, Silence> {
        match (self.silence, self.answer) {
            (None, Some((_, answer))) => Ok(answer),
            (Some(silence), _) => Err(silence),
            (None, None) => Err(Silence { since: Timestamp::now(), why: "it was never asked".to_owned() }),
        }
    }

    /// How it is told, where it is not from now.
    pub(crate) fn silent(&self, name: &HostName, part: HostPart) -> Option<SilentHost> {
        let silence = self.silence.clone()?;
        let as_of = self.answer.as_ref().map(|(at, _)| *at);
        Some(SilentHost { name: name.clone(), part, since: silence.since, why: silence.why, as_of })
    }
}

/// No answer, or none that can be used.
#[derive(Debug, Clone)]
pub(crate) struct Silence {
    pub(crate) since: Timestamp,
    pub(crate) why: String,
}

/// A question that is asked again and again, by one call at a time.
#[derive(Debug)]
struct Question<T>(watch::Sender<State<T>>);

#[derive(Debug)]
struct State<T> {
    /// How often it was asked.
    asked: u64,
    /// When it was asked last.
    begun: Timestamp,
    /// How often that came to an end.
    ended: u64,
    answer: Option<(Timestamp, T)>,
    silence: Option<Silence>,
}

impl<T: Clone + Send + Sync + 'static> Question<T> {
    fn new() -> Self {
        let nothing = State { asked: 0, begun: Timestamp::UNIX_EPOCH, ended: 0, answer: None, silence: None };
        Self(watch::Sender::new(nothing))
    }

    /// Waits for an answer to a question that was asked after this call: one that was asked before may tell of before.
    async fn ask<E: Display + Send + 'static, F: Future<Output = Result<T, E>> + Send + 'static>(
        &self,
        patience: Duration,
        question: impl Fn() -> F,
    ) -> Seen<T> {
        let mut states = self.0.subscribe();
        let own = states.borrow_and_update().asked + 1;
        let answered = async {
            loop {
                if states.borrow_and_update().ended >= own {
                    return;
                }
                self.begin(&question);
                if states.changed().await.is_err() {
                    return;
                }
            }
        };
        let answered = tokio::time::timeout(patience, answered).await.is_ok();
        let state = self.0.borrow();
        let silence = match &state.silence {
            None if !answered => Some(Silence { since: state.begun, why: "it has not answered yet".to_owned() }),
            silence => silence.clone(),
        };
        Seen { answer: state.answer.clone(), silence }
    }

    /// Unless it is being asked.
    fn begin<E: Display + Send + 'static, F: Future<Output = Result<T, E>> + Send + 'static>(
        &self,
        question: &impl Fn() -> F,
    ) {
        let mut begins = false;
        self.0.send_if_modified(|state| {
            begins = state.asked == state.ended;
            if begins {
                state.asked += 1;
                state.begun = Timestamp::now();
            }
            false
        });
        if !begins {
            return;
        }
        let (state, call) = (self.0.clone(), tokio::spawn(tokio::time::timeout(LONGEST, question())));
        tokio::spawn(async move {
            let answer = match call.await {
                Ok(Ok(Ok(answer))) => Ok(answer),
                Ok(Ok(Err(error))) => Err(error.to_string()),
                Ok(Err(_)) => Err(format!("it gave no answer within {}s", LONGEST.as_secs())),
                Err(error) => Err(error.to_string()),
            };
            state.send_modify(|state| {
                state.ended = state.asked;
                match answer {
                    Ok(answer) => (state.answer, state.silence) = (Some((Timestamp::now(), answer)), None),
                    Err(why) => {
                        let since = state.silence.as_ref().map_or(state.begun, |silence| silence.since);
                        state.silence = Some(Silence { since, why });
                    }
                }
            });
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::future::join_all;
    use tokio::sync::Notify;

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn rule_107_what_does_not_answer_is_asked_by_one_call_and_shown_as_it_was() {
        let question = Question::new();
        let seen = question.ask(PATIENCE, || async { Ok::<_, String>(1) }).await;
        let (at, _) = seen.answer.unwrap();
        assert!(seen.silence.is_none());

        let (calls, goes_on) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let hangs = || {
            let (calls, goes_on) = (Arc::clone(&calls), Arc::clone(&goes_on));
            async move {
                let call = calls.fetch_add(1, Ordering::Relaxed);
                goes_on.notified().await;
                Ok::<_, String>(call + 2)
            }
        };
        let begun = Timestamp::now();
        for seen in join_all((0..20).map(|_| question.ask(SHORT, hangs))).await {
            assert_eq!(seen.answer, Some((at, 1)), "what is known is shown");
            assert!(seen.silence.is_some_and(|silence| silence.since >= begun));
        }
        let again = question.ask(SHORT, hangs).await;
        assert!(again.fresh().is_err());
        assert_eq!(calls.load(Ordering::Relaxed), 1, "however many look");

        // What was asked before this call may tell of before: the answer of a second question is waited for.
        let own = question.ask(PATIENCE, hangs);
        let answers = async {
            goes_on.notify_one();
            while calls.load(Ordering::Relaxed) < 2 {
                tokio::task::yield_now().await;
            }
            goes_on.notify_one();
        };
        let (seen, ()) = tokio::join!(own, answers);
        assert_eq!(seen.fresh().ok(), Some(3));
    }

    #[tokio::test]
    async fn a_silence_is_since_the_first_question_that_had_no_answer() {
        let question = Question::<u32>::new();
        let refuse = |why: &'static str| question.ask(PATIENCE, move || async move { Err::<u32, _>(why) });
        let first = refuse("connection refused").await.silence.unwrap();
        let second = refuse("no such socket").await.silence.unwrap();
        assert_eq!((first.since, second.why.as_str()), (second.since, "no such socket"));
        let answered = question.ask(PATIENCE, || async { Ok::<_, String>(7) }).await;
        assert_eq!(answered.fresh().ok(), Some(7));
    }
}
