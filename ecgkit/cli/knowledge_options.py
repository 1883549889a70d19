"""The options of ``ecgkit extract-knowledge`` and its further commands."""

from pathlib import Path
from typing import Annotated

import typer

from ecgkit.cli import completion

NameOption = Annotated[
    str, typer.Option("--name", help="Name of the extraction. A store can hold several extractions.")
]
WhichOption = Annotated[str, typer.Option("--name", help="Name of the extraction. Default: the only one.")]
ReportColumnsOption = Annotated[
    str,
    typer.Option(
        help="Columns of texts, by name or pattern, such as note or report_*; several are joined. "
        "Default: report, or report_0, report_1 and so on."
    ),
]
ReportsOption = Annotated[
    Path | None,
    typer.Option(help="For a store, CSV file whose texts are read instead of its own, such as notes with record ids."),
]
IdOption = Annotated[
    str,
    typer.Option(
        "--id-column",
        help="For a CSV file, name of the column of record ids. Default: record_id, study_id, ecg_id, or the first.",
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", help="For a CSV file, folder for the results. Default: NAME.knowledge beside the file."),
]
BackendOption = Annotated[
    str,
    typer.Option(
        help="Backend that reads the texts: lexicon (offline), openai (model servers), or one of a plugin. Default: "
        "openai with --base-url or --batch, otherwise lexicon.",
        autocompletion=completion.knowledge_backends,
    ),
]
BaseUrlOption = Annotated[
    list[str] | None,
    typer.Option(help="OpenAI-compatible server, such as http://localhost:8000/v1. Repeatable: all serve one model."),
]
ModelOption = Annotated[str, typer.Option(help="Name of the model on the servers.")]
AllowRemoteOption = Annotated[
    bool,
    typer.Option("--allow-remote", help="Allow report text to be sent outside this machine and its private network."),
]
BatchOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder for files of questions and answers instead of a server, for vllm run-batch and batch interfaces. "
        "Give the same command again after each batch."
    ),
]
LimitOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Number of reports of a pilot, drawn at random. It ends with an estimate for the whole. Default: all.",
    ),
]
VocabularyOption = Annotated[
    Path | None,
    typer.Option(
        help="YAML or CSV file of synonyms, parents and codes. An edited file can be applied again without a model "
        "server."
    ),
]
ClosedOption = Annotated[
    Path | None,
    typer.Option(
        help="File such as that of --vocabulary, which the model must keep to: it may name only these entities."
    ),
]
MinCountOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Smallest number of records in which an entity must be present to be kept. Default: a fifth of the square "
        "root of the number of reports, at most 50.",
    ),
]
MaxEntitiesOption = Annotated[
    int | None, typer.Option(min=1, help="Largest number of entities to keep, by frequency. Default: all.")
]
KeepChildrenOption = Annotated[
    bool, typer.Option("--keep-children", help="Keep the column of each subtype beside that of its parent.")
]
MaxTokensOption = Annotated[int, typer.Option(min=1, help="Longest answer of the model in tokens, thoughts included.")]
TemperatureOption = Annotated[
    float | None,
    typer.Option(min=0, max=2, help="Temperature of the answers. Default: 0, or 0.7 with several samples."),
]
ReasoningOption = Annotated[
    str,
    typer.Option(help="How much the model thinks first: off, low, medium or high. Default: the model's own way."),
]
SamplesOption = Annotated[
    int, typer.Option(min=1, help="How often each statement is read. With more than one, the readings vote.")
]
LanguageOption = Annotated[str, typer.Option(help="Language of the reports, such as German, which the model is told.")]
PromptsOption = Annotated[
    Path | None,
    typer.Option(help="Folder of prompts and examples to use instead of those that ship with ecgkit."),
]
ExtraBodyOption = Annotated[
    str,
    typer.Option(help="Further fields of each request, as a JSON object. A null leaves a field out."),
]
HeaderOption = Annotated[
    list[str] | None, typer.Option(help="Further header of each request, as 'Name: value'. Repeatable. Never shown.")
]
BackendSetOption = Annotated[
    list[str] | None, typer.Option("--set", help="One setting of a plugin's backend, such as depth=4. Repeatable.")
]
ConcurrencyOption = Annotated[
    int,
    typer.Option(min=1, help="Most simultaneous requests per server. Fewer are sent where more bring nothing."),
]
PriceInOption = Annotated[float, typer.Option(min=0, help="Price per million prompt tokens, for the cost estimate.")]
PriceOutOption = Annotated[float, typer.Option(min=0, help="Price per million answer tokens, for the cost estimate.")]
MaxUnreadOption = Annotated[
    float,
    typer.Option(
        min=0, max=100, help="Exit with code 3 if more than this percentage of the records is not read completely."
    ),
]
