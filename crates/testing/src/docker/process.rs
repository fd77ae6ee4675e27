//! A container's process, from its start to its end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::Instant;

use super::app::{Behaviour, OneOff};
use super::connections;
use super::container::{Check, Source};
use super::lifecycle::Launch;
use super::serve;
use super::shared::Shared;

/// As a shell reports a process that `SIGTERM` ended.
const TERMINATED: i64 = 143;

/// An address whose last owner was killed is free a moment later.
const FREE_WITHIN: Duration = Duration::from_secs(5);
const BETWEEN_TRIES: Duration = Duration::from_millis(5);

pub(super) async fn run(shared: Arc<Shared>, launch: Launch) {
    let code = tokio::select! {
        biased;
        // Whoever ordered it has put it on record.
        () = launch.process.now.cancelled() => return,
        code = live(&shared, &launch) => code,
    };
    shared.ended(&launch.id, launch.life, code);
}

async fn live(shared: &Shared, launch: &Launch) -> i64 {
    if !launch.app.serves(launch.command.as_deref()) {
        return tokio::select! {
            biased;
            () = launch.process.politely.cancelled() => TERMINATED,
            code = work(shared, launch, &launch.app.one_off) => code,
        };
    }
    tokio::select! {
        code = be(shared, launch, &launch.app.behaviour) => code,
        code = check(shared, launch) => code,
    }
}

async fn work(shared: &Shared, launch: &Launch, one_off: &OneOff) -> i64 {
    let parts = u32::try_from(one_off.lines.len()).unwrap_or(u32::MAX).max(1);
    for line in &one_off.lines {
        tokio::time::sleep(one_off.time / parts).await;
        write(shared, launch, Source::Stdout, line);
    }
    if one_off.lines.is_empty() {
        tokio::time::sleep(one_off.time).await;
    }
    one_off.code
}

async fn be(shared: &Shared, launch: &Launch, behaviour: &Behaviour) -> i64 {
    match behaviour {
        Behaviour::Healthy | Behaviour::NeverHealthy | Behaviour::IgnoresSignals => answer(shared, launch).await,
        Behaviour::ExitsAtBoot { code, lines } => {
            for line in lines {
                write(shared, launch, Source::Stderr, line);
            }
            *code
        }
        Behaviour::DiesAfter(time) => tokio::select! {
            code = answer(shared, launch) => code,
            () = tokio::time::sleep(*time) => {
                write(shared, launch, Source::Stderr, "fatal: died");
                1
            }
        },
        Behaviour::SlowStart(time) => {
            tokio::select! {
                biased;
                // It does not handle signals yet.
                () = launch.process.politely.cancelled() => return TERMINATED,
                () = tokio::time::sleep(*time) => {}
            }
            answer(shared, launch).await
        }
    }
}

/// Serves until it is told to end. Without a network there is nobody to serve.
async fn answer(shared: &Shared, launch: &Launch) -> i64 {
    let condition = &launch.process.condition;
    let politely = match launch.app.behaviour {
        Behaviour::IgnoresSignals => tokio_util::sync::CancellationToken::new(),
        _ => launch.process.politely.clone(),
    };
    match launch.address {
        None => {
            condition.set_listening();
            politely.cancelled().await;
        }
        Some(address) => {
            let address = SocketAddr::from((address, launch.port));
            let listener = match bind(address).await {
                Ok(listener) => listener,
                Err(error) => {
                    write(shared, launch, Source::Stderr, &format!("cannot listen on {address}: {error}"));
                    return 1;
                }
            };
            write(shared, launch, Source::Stdout, &format!("listening on {address}"));
            condition.set_listening();
            connections::serve(listener, serve::app(launch), politely).await;
        }
    }
    write(shared, launch, Source::Stdout, "stopped");
    0
}

async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let begun = Instant::now();
    loop {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && begun.elapsed() < FREE_WITHIN => {
                tokio::time::sleep(BETWEEN_TRIES).await;
            }
            bound => return bound,
        }
    }
}

/// Has the health check's results written down, as long as the process lives.
async fn check(shared: &Shared, launch: &Launch) -> i64 {
    let Some(Check { interval, start_period, .. }) = launch.check else { return std::future::pending().await };
    let begun = Instant::now();
    loop {
        tokio::time::sleep(interval).await;
        let condition = &launch.process.condition;
        let result = if !condition.listens() {
            Err("connection refused")
        } else if serve::is_up(&launch.app, condition) {
            Ok(())
        } else {
            Err("HTTP 503")
        };
        let counts = begun.elapsed() >= start_period;
        shared.change(|model| model.checked(&launch.id, launch.life, result, counts));
    }
}

fn write(shared: &Shared, launch: &Launch, source: Source, line: &str) {
    shared.change(|model| model.write(&launch.id, source, line));
}
