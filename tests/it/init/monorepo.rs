//! Which folders are apps, and what each is built from.

use std::collections::BTreeMap;

use super::Repository;

/// Where an app is built, and by which file.
fn built(repository: &Repository) -> BTreeMap<String, (String, String)> {
    let apps = repository.project().apps;
    let place = |build: &windlass_core::config::Build| (build.context.clone(), build.dockerfile.clone());
    apps.iter().map(|(name, app)| (name.to_string(), place(&app.build))).collect()
}

fn places<const N: usize>(expected: [(&str, &str, &str); N]) -> BTreeMap<String, (String, String)> {
    expected.map(|(name, context, file)| (name.to_owned(), (context.to_owned(), file.to_owned()))).into()
}

#[test]
fn what_only_the_root_has_is_copied_from_there() {
    let of_the_root = [
        "FROM node\nCOPY pnpm-lock.yaml pnpm-workspace.yaml ./\nCOPY packages/ packages/\n",
        "FROM node\nCOPY [\"pnpm-lock.yaml\", \"./\"]\n",
        "FROM node\nARG LOCK=pnpm\nENV TAIL=lock.yaml\nADD --chown=node:node ${LOCK}-$TAIL /\n",
        "FROM node\nCOPY packages/*/package.json ./\n",
        "FROM node\nRUN --mount=type=bind,source=pnpm-lock.yaml,target=/pnpm-lock.yaml true\n",
        "FROM node AS build\nCOPY /packages .\nFROM node\nCOPY --from=build /x /x\n",
        "FROM node\nCOPY \\\n  # a comment\n  pnpm-lock.yaml \\\n  ./\n",
    ];
    let of_the_folder = [
        "FROM node\nCOPY package.json server.js ./\n",
        "FROM node\nCOPY --from=ghcr.io/acme/base pnpm-lock.yaml ./\n",
        "FROM node\nADD https://example.com/pnpm-lock.yaml ./\n",
        "FROM node\nCOPY <<pnpm-lock.yaml <<EOF /x/\nCOPY packages /\npnpm-lock.yaml\nEOF\n",
        "FROM node AS unused\nCOPY pnpm-lock.yaml ./\nFROM node\nCOPY server.js ./\n",
        "FROM node\nCOPY $TARGETARCH/pnpm-lock.yaml ./\n",
        "FROM node\nCOPY . .\n",
    ];
    let monorepo = |dockerfile: &str| {
        let repository = Repository::of("acme/shop")
            .file("pnpm-lock.yaml", "")
            .file("pnpm-workspace.yaml", "")
            .file("packages/ui/package.json", "{}")
            .file("apps/web/Dockerfile", "FROM node\nEXPOSE 3000\nCOPY package.json ./\n")
            .file("apps/web/package.json", "{}")
            .file("apps/api/package.json", "{}")
            .file("apps/api/server.js", "")
            .file("apps/api/Dockerfile", dockerfile);
        let ended = repository.init(&[]).ends(0);
        (built(&repository), ended)
    };
    for dockerfile in of_the_root {
        let (built, ended) = monorepo(dockerfile);
        let expected = places([("api", ".", "apps/api/Dockerfile"), ("web", "apps/web", "Dockerfile")]);
        assert_eq!(built, expected, "{dockerfile}");
        assert!(ended.stderr.contains("apps/api/Dockerfile is built at the root: its line "), "{ended:#?}");
    }
    for dockerfile in of_the_folder {
        let expected = places([("api", "apps/api", "Dockerfile"), ("web", "apps/web", "Dockerfile")]);
        assert_eq!(monorepo(dockerfile).0, expected, "{dockerfile}");
    }
    let (_, unclear) = monorepo("FROM node\nCOPY . .\n");
    assert!(unclear.stderr.contains("is built in apps/api, and pnpm-workspace.yaml binds that"), "{unclear:#?}");
    let (_, nowhere) = monorepo("FROM node\nCOPY server.js ./\nCOPY yarn.lock ./\n");
    let said = "apps/api/Dockerfile:3 copies yarn.lock, which is neither in apps/api nor at the root";
    assert!(nowhere.stderr.contains(said), "{nowhere:#?}");
}

#[test]
fn what_dockerignore_leaves_out_is_not_there() {
    let repository = Repository::of("acme/shop")
        .file("apps/api/Dockerfile", "FROM node\nCOPY shared ./\n")
        .file("apps/api/shared/x", "")
        .file("apps/api/.dockerignore", "shared\n")
        .file("shared/x", "");
    repository.init(&[]).ends(0);
    assert_eq!(built(&repository), places([("default", ".", "apps/api/Dockerfile")]));
}

#[test]
fn a_dockerfile_of_another_name_is_named_and_taken_when_it_is_given() {
    for name in ["Dockerfile.prod", "app.Dockerfile", "Containerfile"] {
        let repository = Repository::of("acme/shop")
            .file(&format!("docker/{name}"), "FROM ruby\nEXPOSE 4000\nCOPY Gemfile ./\n")
            .file("docker/Dockerfile.dockerignore", "")
            .file("Gemfile", "");
        let ended = repository.init(&[]).ends(2);
        assert!(ended.stderr.contains(&format!("there is docker/{name}")), "{ended:#?}");
        assert!(ended.stderr.contains(&format!("--dockerfile docker/{name}")), "{ended:#?}");
        assert!(!ended.stderr.contains("dockerignore"), "{ended:#?}");
        repository.run(&["init", "--dockerfile", name], "docker").ends(0);
        assert_eq!(built(&repository), places([("default", ".", &format!("docker/{name}"))]));
        assert_eq!(repository.project().apps[&"default".parse().unwrap()].primary().unwrap().1.port, Some(4000));
        repository.init(&["--dockerfile", "nowhere"]).ends(2);
    }
    let outside = tempfile::NamedTempFile::new().unwrap();
    let repository = Repository::of("acme/shop").file("Dockerfile", "FROM ruby\n");
    let ended = repository.init(&["--dockerfile", outside.path().to_str().unwrap()]).ends(2);
    assert!(ended.stderr.contains("outside of the repository"), "{ended:#?}");
}

#[test]
fn a_folder_that_only_holds_a_database_s_image_is_no_app() {
    let repository = Repository::of("acme/shop")
        .file("api/Dockerfile", "FROM ruby\nEXPOSE 4000\n")
        .file(
            "db/Dockerfile",
            "FROM docker.io/library/postgres:16-alpine\nCOPY init.sql /docker-entrypoint-initdb.d/\n",
        )
        .file("db/init.sql", "")
        .file("cache/Dockerfile", "FROM redis:7\nCMD [\"redis-server\", \"--save\", \"\"]\n")
        .file("admin/Dockerfile", "FROM mysql:8 AS base\nFROM base\nENTRYPOINT [\"/admin\"]\nEXPOSE 80\n");
    let ended = repository.init(&[]).ends(0);
    assert_eq!(built(&repository).into_keys().collect::<Vec<_>>(), ["admin", "api"]);
    for said in
        ["db/Dockerfile is left out: it only adds to docker.io/library/postgres:16-alpine", "cache/Dockerfile is"]
    {
        assert!(ended.stderr.contains(said), "{ended:#?}");
    }
    let only = Repository::of("acme/shop").file("db/Dockerfile", "FROM postgres\n");
    let ended = only.init(&[]).ends(2);
    assert!(ended.stderr.contains("db/Dockerfile is left out") && ended.stderr.contains("no Dockerfile"), "{ended:#?}");
}

#[test]
fn an_origin_elsewhere_is_said() {
    for (remote, said) in [
        ("https://gitlab.com/acme/shop.git", Some("origin is on gitlab.com")),
        ("git@bitbucket.org:acme/shop.git", Some("origin is on bitbucket.org")),
        ("https://git.example.com/acme/shop", Some("api-url = \"https://git.example.com/api/v3\"")),
        ("git@github.com:acme/shop.git", None),
        ("ssh://git@ssh.github.com:443/acme/shop.git", None),
    ] {
        let repository = Repository::of("acme/shop").file("Dockerfile", "FROM ruby\nEXPOSE 4000\n");
        repository.git(&["remote", "set-url", "origin", remote]);
        let ended = repository.init(&["--dry-run"]).ends(0);
        match said {
            Some(said) => assert!(ended.stderr.contains(said), "{remote}: {ended:#?}"),
            None => assert_eq!(ended.stderr, "", "{remote}"),
        }
        assert_eq!(repository.init(&["--dry-run", "--project", "acme/shop"]).ends(0).stderr, "", "{remote}");
    }
    let nested = Repository::of("acme/shop").file("Dockerfile", "FROM ruby\n");
    nested.git(&["remote", "set-url", "origin", "https://gitlab.com/acme/web/shop.git"]);
    let ended = nested.init(&[]).ends(2);
    assert!(ended.stderr.contains("it leads to gitlab.com"), "{ended:#?}");
}
