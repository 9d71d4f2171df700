//! `explain`: the part of the page on errors that is about one code or word, for who has no browser at hand.

use serde_json::json;

use crate::args::ExplainArgs;
use crate::error::Error;
use crate::explained;
use crate::output::Output;

pub(crate) fn run(args: &ExplainArgs, output: &Output) -> Result<(), Error> {
    let wanted = args.what.trim();
    let text = explained::section(wanted).ok_or(Error::NotExplained)?;
    output.result(&json!({ "what": wanted, "text": text }), || text.replace("**", "").replace("### ", ""))
}
