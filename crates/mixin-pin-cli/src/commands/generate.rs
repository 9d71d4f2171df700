//! `completions` and `man`: shell completions and manual pages.

use std::path::Path;
use std::{fs, io};

use clap::CommandFactory as _;
use serde_json::json;

use crate::args::{Cli, CompletionsArgs, ManArgs};
use crate::error::{Error, FileProblem};
use crate::output::{GOOD, Output};
use crate::redact::ShownPath;

pub(crate) fn completions(args: &CompletionsArgs, output: &Output) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "mixin-pin", &mut script);
    let script = String::from_utf8_lossy(&script).trim_end().to_owned();
    output.result(&json!({ "completions": script }), || script.clone())
}

/// Writes one page for the command and one for each subcommand.
pub(crate) fn man(args: &ManArgs, output: &Output) -> Result<(), Error> {
    let mut command = Cli::command();
    command.build();
    let out = ShownPath(&args.out);
    let made = if out.is_hidden() { Err(io::ErrorKind::InvalidInput.into()) } else { fs::create_dir_all(&args.out) };
    made.map_err(|cause| FileProblem::Write(cause).at(&args.out))?;
    let mut pages = Vec::new();
    write_pages(&command, &args.out, &mut pages)?;
    output.result(&json!({ "pages": pages }), || {
        format!("{GOOD}written{GOOD:#}: {} pages in {out}; read one with: man -l {out}/mixin-pin.1", pages.len())
    })
}

fn write_pages(command: &clap::Command, folder: &Path, pages: &mut Vec<String>) -> Result<(), Error> {
    let page = clap_mangen::Man::new(command.clone());
    let name = page.get_filename();
    let path = folder.join(&name);
    let mut text = Vec::new();
    let written = page.render(&mut text).and_then(|()| fs::write(&path, text));
    written.map_err(|cause| FileProblem::Write(cause).at(&path))?;
    pages.push(name);
    for command in command.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help") {
        write_pages(command, folder, pages)?;
    }
    Ok(())
}
