//! What an app is told of its client: who it is, and how it came. A proxy whose word is taken has said so already; what
//! anybody else says of himself is replaced by what is true.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use windlass_core::proxies::TrustedProxies;

const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What proxies say of a client beside `X-Forwarded-…`, and frameworks believe.
const CLAIMS: [&str; 25] = [
    "forwarded",
    "x-forwarded",
    "forwarded-for",
    "x-original-forwarded-for",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "client-ip",
    "true-client-ip",
    "proxy-client-ip",
    "wl-proxy-client-ip",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-pseudo-ipv4",
    "fastly-client-ip",
    "fly-client-ip",
    "x-appengine-user-ip",
    "x-envoy-external-address",
    "x-original-url",
    "x-rewrite-url",
    // A variable HTTP_PROXY to what is started as CGI.
    "proxy",
    "x-scheme",
    "x-url-scheme",
    "x-original-host",
    "front-end-https",
];
const ALL: &str = "x-forwarded-";

/// Whoever is at the other end of a client's connection.
#[derive(Debug)]
pub(crate) struct Peer {
    address: IpAddr,
    pub(crate) standing: Standing,
}

/// What its word counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// One of the proxies: what it says passes.
    Proxy,
    /// There are proxies, and it is none of them: it came in the clear, whatever it says.
    Stranger,
    /// Nobody said who the proxies are, so there may be one that ends TLS.
    Unknown,
}

impl Peer {
    pub(crate) fn new(address: IpAddr, trusted: &TrustedProxies) -> Self {
        let address = address.to_canonical();
        let standing = match trusted {
            nobody if nobody.is_empty() => Standing::Unknown,
            trusted if trusted.trust(address) => Standing::Proxy,
            _ => Standing::Stranger,
        };
        Self { address, standing }
    }

    /// Whether it is a proxy of ours and says that the client came by TLS.
    pub(crate) fn said_secure(&self, headers: &HeaderMap) -> bool {
        let proto = || headers.get(PROTO).and_then(|it| it.to_str().ok()).and_then(|it| it.rsplit(',').next());
        let said = || proto().map(|scheme| is_secure(scheme.trim())).or_else(|| said_in_forwarded(headers));
        self.standing == Standing::Proxy && said().unwrap_or_default()
    }
}

/// Tells the app of what it does not see of the path.
pub(crate) fn without_prefix(headers: &mut HeaderMap, prefix: &str) {
    if let Ok(prefix) = HeaderValue::from_str(prefix) {
        headers.insert(PREFIX, prefix);
    }
}

/// Whether it is for a proxy only to say this.
pub(crate) fn is_claim(name: &HeaderName) -> bool {
    name.as_str().starts_with(ALL) || CLAIMS.contains(&name.as_str())
}

/// What frames a message.
const FRAMING: [&str; 2] = ["content-length", "transfer-encoding"];

/// Some servers read underscores as hyphens, and so nobody's may be there beside ours.
fn is_disguised(name: &HeaderName) -> bool {
    let name = name.as_str();
    let plain = || name.replace('_', "-");
    let is_known = |plain: &str| plain.starts_with(ALL) || CLAIMS.contains(&plain) || FRAMING.contains(&plain);
    name.contains('_') && is_known(&plain())
}

/// Takes away what the peer may not say, puts what it may in order, and adds the peer itself and the host that was asked
/// for. How it came is said by [`complete`], once its service is known.
pub(crate) fn receive(headers: &mut HeaderMap, host: Option<HeaderValue>, peer: &Peer) {
    let believed = peer.standing == Standing::Proxy;
    remove_if(headers, |name| is_disguised(name) || (!believed && is_claim(name)));
    if believed {
        keep_if(headers, &PROTO, is_scheme);
        keep_if(headers, &PORT, |port| port.parse::<u16>().is_ok_and(|port| port > 0));
        keep_if(headers, &HOST, is_host);
        keep_last(headers, &FOR, |client| !client.contains(char::is_whitespace));
        append_to_forwarded(headers, peer.address);
    }
    append_for(headers, peer.address);
    if let (Some(host), false) = (host, headers.contains_key(HOST)) {
        headers.insert(HOST, host);
    }
}

/// Whom a request is from, as far as the proxies have said: the last address that is none of theirs.
pub(crate) fn client(headers: &HeaderMap, peer: &Peer, proxies: &TrustedProxies) -> IpAddr {
    let mut client = peer.address;
    if peer.standing != Standing::Proxy {
        return client;
    }
    let lines: Vec<&HeaderValue> = headers.get_all(FOR).iter().collect();
    let items = lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for said in items.map_while(|item| address(str::from_utf8(item).ok()?.trim())) {
        client = said.to_canonical();
        if !proxies.trust(client) {
            break;
        }
    }
    client
}

/// Some write the port beside it.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|it| it.ip()))
}

/// Whoever sent them.
pub(crate) fn remove_claims(headers: &mut HeaderMap) {
    remove_if(headers, |name| is_disguised(name) || is_claim(name));
}

fn remove_if(headers: &mut HeaderMap, is_wrong: impl Fn(&HeaderName) -> bool) {
    for name in headers.keys().filter(|name| is_wrong(name)).cloned().collect::<Vec<_>>() {
        headers.remove(name);
    }
}

/// How a request came, as far as the gateway knows by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
    /// It may have come by TLS that ended in front of us.
    Assumed,
}

/// Says how the request came, unless a proxy has said so.
pub(crate) fn complete(headers: &mut HeaderMap, came: Scheme, standing: Standing) {
    if !headers.contains_key(PROTO) {
        let said = said_in_forwarded(headers);
        let https = said.unwrap_or(match came {
            Scheme::Http => false,
            Scheme::Https => true,
            Scheme::Assumed => standing != Standing::Stranger,
        });
        headers.insert(PROTO, HeaderValue::from_static(if https { "https" } else { "http" }));
    }
    if !headers.contains_key(PORT) {
        let port = asked_port(headers).map_or_else(|| default_port(headers), HeaderValue::from);
        headers.insert(PORT, port);
    }
    if !headers.contains_key(FORWARDED)
        && let Some(chain) = as_forwarded(headers)
    {
        headers.insert(FORWARDED, chain);
    }
}

/// What the other headers say, as RFC 7239 has it: of the client, the host that it asked for and how it came; of each
/// proxy behind it, whom it was asked by. An app believes whichever it knows, and hears the same.
fn as_forwarded(headers: &HeaderMap) -> Option<HeaderValue> {
    let said = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let proto = said(&PROTO)?.rsplit(',').next()?.trim();
    let mut chain = String::with_capacity(64);
    for (place, node) in said(&FOR)?.split(',').map(str::trim).enumerate() {
        chain.push_str(if place == 0 { "for=" } else { ", for=" });
        // What has a colon in it is an address of IPv6, or one with its port.
        let bare = node.trim_matches(|c| matches!(c, '[' | ']' | '"'));
        match bare.parse::<IpAddr>() {
            Ok(IpAddr::V6(address)) => chain.push_str(&format!("\"[{address}]\"")),
            _ if node.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) => {
                chain.push_str(node)
            }
            _ if node.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:_-[]".contains(&byte)) => {
                chain.push_str(&format!("\"{node}\""));
            }
            _ => chain.push_str("unknown"),
        }
        if place == 0 {
            if let Some(host) = said(&HOST).filter(|host| is_host(host)) {
                chain.push_str(";host=\"");
                chain.push_str(host);
                chain.push('"');
            }
            chain.push_str(";proto=");
            chain.push_str(proto);
        }
    }
    HeaderValue::try_from(chain).ok()
}

/// One line of it if all that it lists is as it should be, and none otherwise.
fn keep_if(headers: &mut HeaderMap, name: &HeaderName, is_good: impl Fn(&str) -> bool) {
    if !headers.contains_key(name) {
        return;
    }
    let lines: Option<Vec<&str>> = headers.get_all(name).iter().map(|line| line.to_str().ok()).collect();
    let good = lines.filter(|lines| {
        let mut items = lines.iter().flat_map(|line| line.split(',')).map(str::trim);
        items.all(|item| !item.is_empty() && is_good(item))
    });
    let line = match good.as_deref() {
        Some([_]) => return,
        Some(lines) => HeaderValue::try_from(lines.join(", ")).ok(),
        None => None,
    };
    headers.remove(name);
    if let Some(line) = line {
        headers.insert(name, line);
    }
}

/// One line of the last ones that are as they should be: proxies append, and what a client wrote in front of that takes
/// nothing of it away.
fn keep_last(headers: &mut HeaderMap, name: &HeaderName, is_good: impl Fn(&str) -> bool) {
    let lines = headers.get_all(name).iter();
    let items: Vec<&[u8]> = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).collect();
    let items = items.iter().rev().map(|item| str::from_utf8(item.trim_ascii()).ok());
    let good = items.map_while(|item| item.filter(|item| !item.is_empty() && item.is_ascii() && is_good(item)));
    let mut good: Vec<&str> = good.collect();
    good.reverse();
    let line = (!good.is_empty()).then(|| HeaderValue::try_from(good.join(", ")).ok()).flatten();
    headers.remove(name);
    if let Some(line) = line {
        headers.insert(name, line);
    }
}

fn is_scheme(scheme: &str) -> bool {
    ["http", "https", "ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

fn is_host(host: &str) -> bool {
    host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
}

fn append_for(headers: &mut HeaderMap, client: IpAddr) {
    let chain = match headers.get(FOR).and_then(|earlier| earlier.to_str().ok()) {
        Some(earlier) => format!("{earlier}, {client}"),
        None => client.to_string(),
    };
    // An address and what a header had make a header.
    if let Ok(chain) = HeaderValue::try_from(chain) {
        headers.insert(FOR, chain);
    }
}

/// What the proxy says itself stays as it is (RFC 7239).
fn append_to_forwarded(headers: &mut HeaderMap, proxy: IpAddr) {
    if !headers.contains_key(FORWARDED) {
        return;
    }
    let lines: Option<Vec<&str>> = headers.get_all(FORWARDED).iter().map(|line| line.to_str().ok()).collect();
    let chain = lines.map(|lines| lines.join(", "));
    // What comes after a quote that is never closed would be part of it.
    let chain =
        chain.filter(|chain| chain.contains('=') && chain.matches('"').count() % 2 == 0 && !chain.contains('\\'));
    let chain = chain.map(|chain| match proxy {
        IpAddr::V4(proxy) => format!("{chain}, for={proxy}"),
        IpAddr::V6(proxy) => format!("{chain}, for=\"[{proxy}]\""),
    });
    headers.remove(FORWARDED);
    if let Some(chain) = chain.and_then(|chain| HeaderValue::try_from(chain).ok()) {
        headers.insert(FORWARDED, chain);
    }
}

/// Whether the last proxy that says how it was asked says `https`.
fn said_in_forwarded(headers: &HeaderMap) -> Option<bool> {
    let chain = headers.get(FORWARDED)?.to_str().ok()?;
    let pairs = chain.rsplit(',').flat_map(|element| element.split(';'));
    let protos =
        pairs.filter_map(|pair| pair.split_once('=')).filter(|(key, _)| key.trim().eq_ignore_ascii_case("proto"));
    let mut schemes = protos.map(|(_, value)| value.trim().trim_matches('"')).filter(|scheme| is_scheme(scheme));
    schemes.next().map(is_secure)
}

fn is_secure(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("wss")
}

/// The port that the client wrote beside the host.
fn asked_port(headers: &HeaderMap) -> Option<u16> {
    let host = headers.get(HOST).or_else(|| headers.get(header::HOST))?.to_str().ok()?;
    let (name, port) = host.split(',').next()?.trim().rsplit_once(':')?;
    let is_address = name.contains(':') && !name.ends_with(']');
    port.parse().ok().filter(|port| *port > 0 && !is_address)
}

fn default_port(headers: &HeaderMap) -> HeaderValue {
    let schemes = headers.get(PROTO).and_then(|schemes| schemes.to_str().ok()).unwrap_or_default();
    let first = schemes.split(',').next().unwrap_or_default().trim();
    HeaderValue::from_static(if is_secure(first) { "443" } else { "80" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.9";

    fn told(peer: &str, https: bool, sent: &[(&'static str, &'static str)]) -> Vec<String> {
        let trusted: TrustedProxies = ["10.0.0.0/8", "fd00::/8"].map(|it| it.parse().unwrap()).into_iter().collect();
        told_with(&trusted, peer, https, sent)
    }

    fn told_with(
        trusted: &TrustedProxies,
        peer: &str,
        https: bool,
        sent: &[(&'static str, &'static str)],
    ) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let peer = Peer::new(peer.parse().unwrap(), trusted);
        let host = HeaderValue::from_static("shop.test");
        receive(&mut headers, Some(host), &peer);
        complete(&mut headers, if https { Scheme::Assumed } else { Scheme::Http }, peer.standing);
        // One that is made of the others is theirs again.
        if headers.get(FORWARDED) == as_forwarded(&headers).as_ref() {
            headers.remove(FORWARDED);
        }
        let short = |name: &HeaderName| name.as_str().replace("x-forwarded-", "");
        let mut lines: Vec<_> =
            headers.iter().map(|(name, value)| format!("{}: {}", short(name), value.to_str().unwrap())).collect();
        lines.sort();
        lines
    }

    #[test]
    fn what_the_headers_say_is_said_as_forwarded_too() {
        for (client, host, forwarded) in [
            ("192.0.2.1", "shop.test", "for=192.0.2.1;host=\"shop.test\";proto=https"),
            ("2001:db8::1, 10.0.0.1", "[::1]:80", "for=\"[2001:db8::1]\";host=\"[::1]:80\";proto=https, for=10.0.0.1"),
            ("192.0.2.1:80, _x, \"a\"", "a b", "for=\"192.0.2.1:80\";proto=https, for=_x, for=unknown"),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [(FOR, client), (HOST, host), (PROTO, "https")] {
                headers.insert(name, HeaderValue::from_str(value).unwrap());
            }
            assert_eq!(as_forwarded(&headers).unwrap(), forwarded);
        }
    }

    #[test]
    fn rule_102_a_stranger_says_nothing_of_itself() {
        let plain = ["for: 192.0.2.1", "host: shop.test", "port: 80", "proto: http"];
        for lie in [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-port", "443"),
            ("x-forwarded-host", "bank.test"),
            ("x-forwarded-ssl", "on"),
            ("x-forwarded-prefix", "/admin"),
            ("x-forwarded-anything", "1"),
            ("forwarded", "for=1.1.1.1;proto=https"),
            ("x-real-ip", "1.1.1.1"),
            ("client-ip", "1.1.1.1"),
            ("front-end-https", "on"),
            ("x-forwarded", "for=1.1.1.1"),
            ("x-original-url", "/admin"),
            ("proxy", "http://1.1.1.1"),
            ("x_forwarded_proto", "https"),
            ("x-forwarded_proto", "https"),
            ("x_real_ip", "1.1.1.1"),
        ] {
            assert_eq!(told("192.0.2.1", true, &[lie, lie]), plain, "{lie:?}");
            let nobody = told_with(&TrustedProxies::default(), "192.0.2.1", false, &[lie]);
            assert_eq!(nobody, plain, "{lie:?} where no proxy is named");
        }
    }

    #[test]
    fn rule_102_where_no_proxy_is_named_something_ends_the_tls_of_an_app_that_is_https_only() {
        let nobody = TrustedProxies::default();
        let told = |https| told_with(&nobody, "::ffff:192.0.2.1", https, &[("x-forwarded-proto", "gopher")]);
        assert_eq!(told(true), ["for: 192.0.2.1", "host: shop.test", "port: 443", "proto: https"]);
        assert_eq!(told(false), ["for: 192.0.2.1", "host: shop.test", "port: 80", "proto: http"]);
    }

    #[test]
    fn rule_102_what_a_proxy_says_passes_and_it_is_appended() {
        let sent = [
            ("x-forwarded-for", "1.1.1.1, 2001:db8::1"),
            ("x-forwarded-for", "3.3.3.3"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-port", "8443"),
            ("x-forwarded-host", "www.shop.test"),
            ("x-forwarded-prefix", "/shop"),
            ("forwarded", "for=1.1.1.1;proto=https"),
            ("x-real-ip", "1.1.1.1"),
            ("x_forwarded_for", "9.9.9.9"),
        ];
        let expected = [
            "for: 1.1.1.1, 2001:db8::1, 3.3.3.3, fd00::1",
            "forwarded: for=1.1.1.1;proto=https, for=\"[fd00::1]\"",
            "host: www.shop.test",
            "port: 8443",
            "prefix: /shop",
            "proto: https",
            "x-real-ip: 1.1.1.1",
        ];
        assert_eq!(told("fd00::1", false, &sent), expected);
    }

    #[test]
    fn rule_102_what_a_proxy_leaves_out_or_gets_wrong_is_made_good() {
        let proto = |https, sent: &[(&'static str, &'static str)]| told(PROXY, https, sent).pop().unwrap();
        assert_eq!(proto(true, &[]), "proto: https");
        assert_eq!(proto(false, &[]), "proto: http");
        assert_eq!(proto(false, &[("forwarded", "proto=http, for=x;Proto=\"HTTPS\"")]), "proto: https");
        assert_eq!(proto(true, &[("forwarded", "for=x;proto=http")]), "proto: http");
        for wrong in ["gopher", "", "https,", "https\t;", "https, ftp"] {
            assert_eq!(proto(true, &[("x-forwarded-proto", wrong)]), "proto: https", "{wrong:?}");
            assert_eq!(proto(false, &[("x-forwarded-proto", wrong)]), "proto: http", "{wrong:?}");
        }
        let two = [("x-forwarded-proto", "https"), ("x-forwarded-proto", "http")];
        assert_eq!(proto(false, &two), "proto: https, http");
        let wrong = [
            ("x-forwarded-port", "https"),
            ("x-forwarded-port", "70000"),
            ("x-forwarded-host", "a b"),
            ("x-forwarded-for", "1.1.1.1, , 2.2.2.2"),
            ("forwarded", "for=\"1.1.1.1"),
        ];
        assert_eq!(
            told(PROXY, true, &wrong),
            ["for: 2.2.2.2, 10.0.0.9", "host: shop.test", "port: 443", "proto: https"]
        );
        for lie in [",", "a b", "", " , ,", "1.1.1.1 2"] {
            let behind = [("x-forwarded-for", lie), ("x-forwarded-for", "203.0.113.9")];
            assert_eq!(told(PROXY, true, &behind)[0], "for: 203.0.113.9, 10.0.0.9", "{lie:?}");
        }
    }

    #[test]
    fn a_request_is_from_whom_the_proxies_have_it_and_not_from_whom_it_says() {
        let trusted: TrustedProxies = ["10.0.0.0/8", "fd00::/8"].map(|it| it.parse().unwrap()).into_iter().collect();
        let from = |peer: &str, lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FOR, HeaderValue::from_static(line));
            }
            client(&headers, &Peer::new(peer.parse().unwrap(), &trusted), &trusted).to_string()
        };
        assert_eq!(from("192.0.2.1", &["1.1.1.1"]), "192.0.2.1", "a stranger's word");
        assert_eq!(from(PROXY, &[]), PROXY);
        assert_eq!(from(PROXY, &["1.1.1.1, 203.0.113.9, 10.0.0.7"]), "203.0.113.9");
        assert_eq!(from(PROXY, &["1.1.1.1", "203.0.113.9:4711", "fd00::2"]), "203.0.113.9");
        assert_eq!(from(PROXY, &["[2001:db8::1]:80"]), "2001:db8::1");
        assert_eq!(from(PROXY, &["10.0.0.1"]), "10.0.0.1", "all of them proxies");
        assert_eq!(from(PROXY, &["1.1.1.1, unknown, 10.0.0.7"]), "10.0.0.7", "what is before it cannot be told");
    }

    #[test]
    fn rule_102_the_port_is_the_one_that_the_client_asked_for() {
        let port = |host: &'static str| {
            let mut headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static(host))]);
            complete(&mut headers, Scheme::Assumed, Standing::Unknown);
            headers[PORT].to_str().unwrap().to_owned()
        };
        for (host, expected) in [
            ("shop.test", "443"),
            ("shop.test:8443", "8443"),
            ("[::1]", "443"),
            ("[::1]:8443", "8443"),
            ("::1", "443"),
            ("shop.test:", "443"),
            ("shop.test:99999", "443"),
            ("shop.test:0", "443"),
        ] {
            assert_eq!(port(host), expected, "{host}");
        }
    }
}
