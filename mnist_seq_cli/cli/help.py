"""Owns the help: --help with the options that most people need, and --help-all with all of them by group."""

from __future__ import annotations

from typing import Any

import click

MAX_WIDTH = 80


class GroupedOption(click.Option):
    """An option with a heading in the help; `basic` options are in the short help."""

    def __init__(self, *arguments: Any, heading: str = "", basic: bool = False, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.heading, self.basic = heading, basic


class GroupedCommand(click.Command):
    """A command with a short help, and all options under headings with --help-all, or --help-all GROUP.

    `headings` are the groups in order, each with a line that describes it; options without a heading are in the last.
    """

    def __init__(self, *arguments: Any, headings: dict[str, str], **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.headings = headings
        self.params.append(
            click.Option(
                ["--help-all"],
                metavar="[GROUP]",
                is_flag=False,
                flag_value="",
                is_eager=True,
                expose_value=False,
                callback=_show_all,
                help="Show all options, or those of one group.",
            )
        )

    def heading_of(self, option: click.Parameter) -> str:
        """Return the heading of an option."""
        return getattr(option, "heading", "") or list(self.headings)[-1]

    def rows(self, context: click.Context, heading: str = "", *, basic: bool = False) -> list[tuple[str, str]]:
        """Return the help records of one group, or of the basic options."""
        listed = self.get_params(context)
        if basic:
            own = [option for option in listed if getattr(option, "basic", not hasattr(option, "heading"))]
        else:
            own = [option for option in listed if self.heading_of(option) == heading]
        own = [option for option in own if isinstance(option, click.Option)]
        records = (option.get_help_record(context) for option in own)
        return [record for record in records if record is not None]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the basic options, and how to list the others."""
        with formatter.section("Options"):
            brief = [(names, text.partition("  [")[0]) for names, text in self.rows(ctx, basic=True)]
            formatter.write_dl(brief, col_max=24)
        groups = ", ".join(heading for heading in self.headings if self.rows(ctx, heading))
        formatter.write_paragraph()
        formatter.write_text(f"All options: --help-all. Options of one group: --help-all GROUP, one of {groups}.")


def _show_all(context: click.Context, option: click.Parameter, group: str | None) -> None:
    """Print all options under their headings, or those of a group, and exit."""
    if group is None or context.resilient_parsing:
        return
    command = context.command
    assert isinstance(command, GroupedCommand)
    chosen = [heading for heading in command.headings if heading.lower().startswith(group.lower())]
    if not chosen:
        raise click.BadParameter(f"{group!r} is none of {', '.join(command.headings)}.", context, option)
    formatter = context.make_formatter()
    if not group:
        command.format_usage(context, formatter)
        command.format_help_text(context, formatter)
    for heading in chosen:
        if rows := command.rows(context, heading):
            with formatter.section(heading):
                formatter.write_text(command.headings[heading])
                formatter.write_paragraph()
                formatter.write_dl(rows)
    click.echo(formatter.getvalue().strip("\n"))
    context.exit()
