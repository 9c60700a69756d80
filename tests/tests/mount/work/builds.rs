//! Source trees are unpacked, built and run on a mount: with `make` and a C compiler, with cargo
//! and a target folder that is on the mount too, and with npm.

use super::Workplace;

const MODULES: usize = 30;

/// So many source files, a header, and a Makefile with a library and a program.
fn write_c_project(place: &Workplace) {
    let functions = 0..MODULES;
    let declared: String = functions
        .clone()
        .map(|n| format!("int part_{n}(void);\n"))
        .collect();
    place.write_to_disk("project/parts.h", &declared);
    for n in functions.clone() {
        let source = format!("#include \"parts.h\"\nint part_{n}(void) {{ return {n}; }}\n");
        place.write_to_disk(&format!("project/part_{n}.c"), &source);
    }
    let calls: String = functions.map(|n| format!(" + part_{n}()")).collect();
    let main = format!(
        "#include <stdio.h>\n#include \"parts.h\"\n\
         int main(void) {{ printf(\"%d\\n\", 0{calls}); return 0; }}\n"
    );
    place.write_to_disk("project/main.c", &main);
    place.write_to_disk("project/Makefile", MAKEFILE);
}

const MAKEFILE: &str = "
parts := $(patsubst %.c,%.o,$(wildcard part_*.c))
program: main.o libparts.a
\tcc -o $@ $^
libparts.a: $(parts)
\tar rcs $@ $^
%.o: %.c parts.h
\tcc -c -o $@ $<
clean:
\trm -f program libparts.a *.o
";

#[test]
fn a_c_project_is_unpacked_built_and_built_again() {
    let place = Workplace::new();
    write_c_project(&place);
    place.on_disk("tar -czf project.tar.gz project");
    place.on_mount("tar -xzf $DISK/project.tar.gz");
    let in_project = |script: &str| place.on_mount(&format!("cd project\n{script}"));
    in_project("make -s -j2");
    let sum = (0..MODULES).sum::<usize>().to_string();
    assert_eq!(in_project("./program"), sum);
    // By their times, everything is newer than what it is made of.
    assert!(in_project("make").contains("up to date"));
    let again = in_project("touch part_3.c; make");
    assert_eq!(again.matches("cc -c").count(), 1, "{again}");
    in_project("make -s clean; make -s -j2");
    assert_eq!(in_project("./program"), sum);
    place.end();
}

const CARGO_MANIFEST: &str = "
[package]
name = 'small'
version = '0.1.0'
edition = '2021'
[workspace]
";

const CARGO_LIBRARY: &str = "
pub fn sum(numbers: &[u32]) -> u32 { numbers.iter().sum() }
#[test]
fn it_adds() { assert_eq!(sum(&[1, 2, 3]), 6); }
";

const CARGO_MAIN: &str = "fn main() { println!(\"{}\", small::sum(&[20, 22])); }";

#[test]
fn a_cargo_project_is_built_tested_and_run() {
    let place = Workplace::new();
    place.write_to_disk("small/Cargo.toml", CARGO_MANIFEST);
    place.write_to_disk("small/src/lib.rs", CARGO_LIBRARY);
    place.write_to_disk("small/src/main.rs", CARGO_MAIN);
    place.on_mount("cp -r $DISK/small .");
    let cargo = |command: &str| {
        let line = format!("cd small; cargo {command} --quiet --offline --target-dir target");
        place.on_mount(&line)
    };
    cargo("build");
    cargo("test");
    assert_eq!(cargo("run"), "42");
    place.on_mount("cd small; echo 'pub fn more() {}' >> src/lib.rs");
    assert_eq!(cargo("run"), "42");
    place.end();
}

const NPM_MANIFEST: &str = r#"{
  "name": "app", "version": "1.0.0", "private": true,
  "dependencies": { "greeting": "file:../greeting-1.0.0.tgz", "linked": "file:../linked" },
  "scripts": { "start": "node main.js", "postinstall": "hello > installed" }
}"#;

const NPM_GREETING: &str = r#"{
  "name": "greeting", "version": "1.0.0", "main": "index.js", "bin": { "hello": "hello.js" }
}"#;

#[test]
fn npm_installs_local_packages_and_runs_them() {
    let place = Workplace::new();
    let hello = "#!/usr/bin/env node\nconsole.log(require('./index.js'))\n";
    let main = "console.log(require('greeting') + ' ' + require('linked'))";
    place.write_to_disk("greeting/package.json", NPM_GREETING);
    place.write_to_disk("greeting/index.js", "module.exports = 'hello'");
    place.write_to_disk("greeting/hello.js", hello);
    place.write_to_disk(
        "linked/package.json",
        r#"{"name":"linked","version":"1.0.0"}"#,
    );
    place.write_to_disk("linked/index.js", "module.exports = 'world'");
    place.write_to_disk("app/package.json", NPM_MANIFEST);
    place.write_to_disk("app/main.js", main);
    place.on_mount("cp -r $DISK/greeting $DISK/linked $DISK/app .");
    let npm = |line: &str| {
        let offline = "export npm_config_cache=$MOUNT/cache npm_config_offline=true \
            npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false";
        place.on_mount(&format!("{offline}\n{line}"))
    };
    npm("npm pack --silent ./greeting");
    npm("cd app; npm install --silent");
    assert_eq!(npm("cd app; cat installed"), "hello");
    assert_eq!(npm("cd app; npm start --silent"), "hello world");
    npm("cd app; npm ci --silent");
    assert_eq!(npm("cd app; npm start --silent"), "hello world");
    place.end();
}
