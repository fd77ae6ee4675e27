//! What `windlass.toml` means.

use windlass_core::config::{
    AppConfig, BootLimit, ConfigError, Health, HealthCheck, HostSelector, ProjectConfig, ProjectFile, REFERENCE,
    RoleConfig, Strategy, Volume,
};
use windlass_core::gateway::{Hold, Route};
use windlass_core::names::{AppName, RoleName, StageName};
use windlass_core::quantity::Duration;

fn stage(name: &str) -> StageName {
    name.parse().unwrap()
}

fn config(text: &str) -> ProjectConfig {
    on(text, "production")
}

fn on(text: &str, name: &str) -> ProjectConfig {
    ProjectFile::parse("windlass.toml", text).unwrap_or_else(|error| panic!("{error}")).resolve(&stage(name))
}

fn mistakes(text: &str) -> ConfigError {
    ProjectFile::parse("windlass.toml", text).unwrap_err()
}

fn app<'c>(config: &'c ProjectConfig, name: &str) -> &'c AppConfig {
    &config.apps[&name.parse::<AppName>().unwrap()]
}

fn role<'c>(app: &'c AppConfig, name: &str) -> &'c RoleConfig {
    &app.roles[&name.parse::<RoleName>().unwrap()]
}

#[test]
fn the_simplest_app_is_a_port() {
    let config = config("schema = 1\nport = 8080\n");
    let app = app(&config, "default");
    let (name, web) = app.primary().unwrap();
    assert_eq!(name.as_str(), "web");
    assert_eq!((web.port, web.scale, web.strategy), (Some(8080), 1, Strategy::StartFirst));
    assert_eq!(
        web.health,
        Health {
            check: HealthCheck::Port,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(5),
            deadline: Duration::from_secs(60)
        }
    );
    assert_eq!(web.hold, Hold { requests: 100, time: Duration::from_secs(10) });
    assert_eq!((web.stop.signal.as_str(), web.stop.grace), ("SIGTERM", Duration::from_secs(30)));
    assert_eq!(web.stop.drain, Duration::from_secs(30));
    assert_eq!((web.hosts.as_ref(), web.command.as_ref(), web.resources.memory), (None, None, None));
    assert_eq!((app.image.as_ref(), app.migrate.as_ref(), app.url.len()), (None, None, 0));
    assert_eq!(
        (app.watch, app.boot.limit, app.boot.wait),
        (Duration::from_secs(10), BootLimit::Percent(100), Duration::from_secs(0))
    );
    assert_eq!(
        (app.build.context.as_str(), app.build.dockerfile.as_str(), app.build.target.as_ref()),
        (".", "Dockerfile", None)
    );
}

#[test]
fn an_app_with_only_an_address_listens_at_3000() {
    let config = config("schema = 1\nurl = \"https://shop.example.com\"\n");
    let app = app(&config, "default");
    assert_eq!(role(app, "web").port, Some(3000));
    assert_eq!(role(app, "web").health.check, HealthCheck::Port);
    let prober = on("schema = 1\nurl = \"https://a.example.com\"\nhealth.path = \"/up\"\n", "x");
    assert_eq!(role(self::app(&prober, "default"), "web").health.check, HealthCheck::Path("/up".to_owned()));
}

#[test]
fn an_address_is_kept_as_written_and_matched_in_its_shortest_form() {
    let text = r#"
        schema = 1
        url = ["https://Shop.Example.com:8443/API/", "http://shop.example.com", "https://[::1]/a/../b//"]
    "#;
    let config = config(text);
    let urls = &app(&config, "default").url;
    let route = |host: &str, path: &str| Route::new(host, path);
    assert_eq!((urls[0].url.as_str(), urls[0].https), ("https://Shop.Example.com:8443/API/", true));
    assert_eq!(urls[0].route, Route { https: true, ..route("shop.example.com", "/API") });
    assert_eq!((&urls[1].route, urls[1].https), (&route("shop.example.com", "/"), false));
    assert_eq!(urls[2].route, Route { https: true, ..route("[::1]", "/b") });
}

#[test]
fn the_primary_role_is_the_only_one_or_the_flagged_one_or_web() {
    let primary = |text: &str| {
        let config = config(&format!("schema = 1\n{text}"));
        app(&config, "default").primary().unwrap().0.to_string()
    };
    assert_eq!(primary("[roles.work]\n"), "work");
    assert_eq!(primary("[roles.api]\n[roles.web]\n"), "web");
    assert_eq!(primary("[roles.api]\nprimary = true\n[roles.web]\n"), "api");
}

#[test]
fn a_role_without_a_port_is_healthy_when_it_stays_up() {
    let config =
        config("schema = 1\n[roles.web]\nport = 1\n[roles.worker]\n[roles.clock]\nhealth = { interval = \"2s\" }\n");
    let app = app(&config, "default");
    assert_eq!(role(app, "worker").health.check, HealthCheck::Stable(Duration::from_secs(5)));
    assert_eq!(role(app, "clock").health.check, HealthCheck::Stable(Duration::from_secs(5)));
    assert_eq!(role(app, "clock").health.interval, Duration::from_secs(2));
    assert!(!role(app, "worker").primary);
}

#[test]
fn an_image_is_lower_cased_and_an_empty_target_is_none() {
    let config = config("schema = 1\nport = 1\nimage = \"ghcr.io/Acme/Shop\"\nbuild = { target = \"\" }\n");
    let app = app(&config, "default");
    assert_eq!(app.image.as_ref().unwrap().as_str(), "ghcr.io/acme/shop");
    assert_eq!(app.build.target, None);
}

#[test]
fn mounts_are_read_in_their_shortest_form() {
    let config = config("schema = 1\nport = 1\nvolumes = [\"data:/data/\", \"/srv//x/./y:/etc/app:ro\"]\n");
    let volume =
        |source: &str, target: &str, read_only| Volume { source: source.into(), target: target.into(), read_only };
    assert_eq!(
        role(app(&config, "default"), "web").volumes,
        [volume("data", "/data", false), volume("/srv/x/y", "/etc/app", true)]
    );
}

#[test]
fn a_stage_lays_its_keys_over_the_files() {
    let text = r#"
        schema = 1
        url = "https://shop.example.com"
        env = { TZ = "UTC", LEVEL = "info" }

        [roles.web]
        port = 3000
        scale = 4
        hosts = ["a", "label:web"]
        health = { path = "/up", interval = "3s" }

        [stages.staging]
        url = ["https://staging.example.com"]
        env.LEVEL = "debug"
        roles.web.scale = 1
        roles.web.hosts = ["b"]
        roles.web.health.stable = "2s"
        roles.worker.command = ["work"]
    "#;
    let file = ProjectFile::parse("windlass.toml", text).unwrap();
    assert_eq!(file.stages().map(StageName::as_str).collect::<Vec<_>>(), ["staging"]);

    let (production, staging) = (file.resolve(&stage("production")), file.resolve(&stage("staging")));
    let (production, staging) = (app(&production, "default"), app(&staging, "default"));
    assert_eq!(production.roles.len(), 1);
    assert_eq!(production.url[0].route.host, "shop.example.com");
    assert_eq!(role(production, "web").health.check, HealthCheck::Path("/up".to_owned()));
    let selectors = role(production, "web").hosts.clone().unwrap();
    assert_eq!(selectors, [HostSelector::Name("a".parse().unwrap()), HostSelector::Label("web".to_owned())]);

    assert_eq!(staging.url.len(), 1);
    assert_eq!(staging.url[0].route.host, "staging.example.com");
    assert_eq!((staging.env["TZ"].as_str(), staging.env["LEVEL"].as_str()), ("UTC", "debug"));
    let web = role(staging, "web");
    assert_eq!((web.port, web.scale, web.hosts.as_ref().unwrap().len()), (Some(3000), 1, 1));
    assert_eq!(web.health.check, HealthCheck::Stable(Duration::from_secs(2)), "one check replaces another");
    assert_eq!(web.health.interval, Duration::from_secs(3), "the rest of the table stays");
    assert!(web.primary);
    assert_eq!(role(staging, "worker").command.as_deref(), Some(&["work".to_owned()][..]));
}

#[test]
fn apps_share_what_stands_at_the_top_and_stages_reach_into_them() {
    let text = r#"
        schema = 1
        image = "ghcr.io/acme/shop"
        env = { TZ = "UTC", KIND = "all" }
        watch = "20s"

        [apps.shop]
        url = "https://shop.example.com"

        [apps.api]
        image = "ghcr.io/acme/api"
        url = "https://shop.example.com/api"
        env.KIND = "api"

        [stages.staging]
        watch = "1s"
        apps.api.url = "https://api.staging.example.com"
        apps.extra.port = 4000
    "#;
    let production = config(text);
    assert_eq!(production.apps.keys().map(AppName::as_str).collect::<Vec<_>>(), ["api", "shop"]);
    let (shop, api) = (app(&production, "shop"), app(&production, "api"));
    assert_eq!(shop.image.as_ref().unwrap().as_str(), "ghcr.io/acme/shop");
    assert_eq!(api.image.as_ref().unwrap().as_str(), "ghcr.io/acme/api");
    assert_eq!((shop.env["KIND"].as_str(), api.env["KIND"].as_str(), api.env["TZ"].as_str()), ("all", "api", "UTC"));

    let staging = on(text, "staging");
    assert_eq!(staging.apps.len(), 3);
    assert_eq!(app(&staging, "api").url[0].route.host, "api.staging.example.com");
    assert_eq!(app(&staging, "shop").url[0].route.host, "shop.example.com");
    assert!(staging.apps.values().all(|app| app.watch == Duration::from_secs(1)));
}

#[test]
fn role_variables_stay_apart_from_the_apps() {
    let config = config("schema = 1\nenv = { A = \"1\" }\n[roles.web]\nport = 1\nenv = { A = \"2\", B = \"\" }\n");
    let app = app(&config, "default");
    assert_eq!(app.env["A"], "1");
    assert_eq!((role(app, "web").env["A"].as_str(), role(app, "web").env["B"].as_str()), ("2", ""));
}

#[test]
fn what_is_left_to_the_stages_is_asked_of_each_of_them() {
    let text = "schema = 1\n[stages.production]\nurl = \"https://shop.example.com\"\n";
    assert_eq!(app(&config(text), "default").url.len(), 1);
    let error = mistakes("schema = 1\n[stages.production]\nenv.A = \"1\"\n");
    assert_eq!(error.diagnostics.len(), 1);
    assert!(error.diagnostics[0].message.starts_with("on stage `production`: nothing says what to run"), "{error}");
}

#[test]
fn a_mistake_that_every_stage_inherits_is_reported_once() {
    let error = mistakes("schema = 1\nport = 0\nprot = 1\n[stages.a]\nscale = 2\n[stages.b]\nscale = 3\n");
    let keys: Vec<_> = error.diagnostics.iter().map(|diagnostic| diagnostic.key.as_str()).collect();
    assert_eq!(keys, ["port", "prot"]);
}

/// Two releases could not hold it side by side.
#[test]
fn rule_097_a_port_of_the_host_cannot_be_asked_for() {
    for (key, line) in [
        ("ports", "ports = [\"8080:3000\"]"),
        ("publish", "publish = [8080]"),
        ("host-port", "host-port = 8080"),
        ("network", "network = \"host\""),
        ("port", "port = \"8080:3000\""),
    ] {
        for (file, key) in [
            (format!("schema = 1\nurl = \"https://shop.example.com\"\n{line}\n"), key.to_owned()),
            (format!("schema = 1\n[roles.web]\nstrategy = \"stop-first\"\n{line}\n"), format!("roles.web.{key}")),
        ] {
            let error = mistakes(&file);
            assert!(error.diagnostics.iter().any(|diagnostic| diagnostic.key == key), "{file}\n{error}");
        }
    }
}

#[test]
fn a_broken_line_hides_no_mistake_before_it_and_invents_none_after_it() {
    let error = mistakes("schema = 1\nscale = 1000\nenv = { A = \"1\"\n[roles.web]\nport = 3000\n");
    assert!(error.diagnostics.iter().any(|diagnostic| diagnostic.key == "scale"), "{error}");
    assert!(error.diagnostics.iter().all(|diagnostic| !diagnostic.message.contains("no key")), "{error}");
}

#[test]
fn a_resolved_configuration_survives_the_store() {
    let file = ProjectFile::parse("reference.toml", REFERENCE).unwrap();
    for name in ["production", "staging"] {
        let config = file.resolve(&stage(name));
        assert_eq!(config.apps.len(), 2);
        let stored = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<ProjectConfig>(&stored).unwrap(), config);
    }
}

#[test]
fn addresses_of_many_hosts_are_matched_but_never_given_to_people() {
    let text = r#"
        schema = 1
        url = ["https://*.shop.example.com/", "https://*", "https://shop.example.com/x"]
    "#;
    let config = config(text);
    let app = app(&config, "default");
    let routes: Vec<String> = app.url.iter().map(|url| url.route.to_string()).collect();
    assert_eq!(routes, ["*.shop.example.com/", "*/", "shop.example.com/x"]);
    assert_eq!(app.address().unwrap().url, "https://shop.example.com/x");
}

#[test]
fn other_names_redirect_to_the_first_address() {
    let text = r#"
        schema = 1
        url = ["https://shop.example.com:8443/x", "https://shop.example.net"]
        redirect = ["WWW.shop.example.com.", "shop.example.org"]
    "#;
    let config = config(text);
    let routes: Vec<String> = app(&config, "default").redirect.iter().map(ToString::to_string).collect();
    let expected =
        ["www.shop.example.com/", "shop.example.org/"].map(|it| format!("{it} (to https://shop.example.com:8443)"));
    assert_eq!(routes, expected);
}
