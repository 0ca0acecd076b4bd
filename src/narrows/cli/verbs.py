"""What each verb takes: the list that the command line and its help are made of."""

from pathlib import Path

from narrows.cli.flags import REQUIRED, Flag, Verb, constructor_flags, members


def _switch(names: str, help_: str, parameter: str = "") -> Flag:
    return Flag(names, help_, bool, default=False, parameter=parameter)


def _seed(what: str, default: int | None = None) -> Flag:
    return Flag("--seed INT", what, int, default, 0)


_TABLE = "The file to write: .csv, .tsv, .parquet, .npy or .npz."
_LOG = "A log of users and items (csv, tsv, Parquet), or movielens-small; without it one is made up."

DATA = Flag("DATA", "A file, a folder of images, or a named data set: digits, mnist:test, ...", default=REQUIRED)
MODEL = Flag("--model -m MODEL", "The model file that fit wrote.", Path, REQUIRED)
OUT = Flag("--out -o OUT", _TABLE, Path, REQUIRED)
DEVICE = Flag("--device", "Where to compute: auto, cpu, cuda, ...", default="auto")
COLUMNS = Flag("--columns A,B,...", "Columns to use: names, positions from 0, ranges as in 3:7, patterns as in temp_*.")
READING = (
    COLUMNS,
    Flag("--drop A,B,...", "Columns to leave out, as of --columns."),
    Flag("--kinds A=KIND,...", "What columns are, where it was not seen: number, category, datetime, text, ..."),
    Flag("--delimiter MARK", "What parts the fields of a text table: , ; tab | :: [default: found]."),
    Flag("--decimal MARK", "The decimal mark [default: found]."),
    Flag("--encoding NAME", "The encoding of a text table [default: found]."),
    Flag("--header/--no-header", "Whether the first row of a text table has names [default: found].", bool),
    Flag("--missing-values A,B,...", "Spellings of missing values, in place of the usual ones."),
    Flag("--index COLUMN|none", "The column that only names the rows [default: found]."),
)
AS_JSON = _switch("--json", "Print the result as JSON.", parameter="as_json")
QUIET = _switch("--quiet -q", "Show neither progress nor summary.")
CODEC = Flag("--model -m CODEC", "What narrows codec fit wrote.", Path, REQUIRED)
GENERATOR = Flag("MODEL", "A model file of fit --model vae.", Path, REQUIRED)
RATINGS = Flag("RATINGS", _LOG)
ITEMS = Flag("--items FILE", "Titles of items: a table with a column of ids and one of titles.", Path)
LABELS = "a column of DATA, or a file"
METHODS = "|".join(["auto", *members("Method")])
RECOMMENDER = Flag(f"--method {METHODS}", "What ranks; settings as in 'linear(l2=200)' [default: auto, the best one].")
LOG_COLUMNS = (
    Flag("--user-column NAME", "The column of users; else the usual names, or the first."),
    Flag("--item-column NAME", "The column of items; else the usual names, or the second."),
    Flag("--rating-column NAME|none", "The column of ratings; else the usual names, if any."),
    Flag("--timestamp-column NAME|none", "The column of times; else the usual names, if any."),
)


VERBS = {
    "fit": Verb(
        "fit:fit",
        (
            DATA,
            Flag("--out -o MODEL", "The model file to write.", Path, REQUIRED),
            Flag(
                "--model autoencoder|vae|detector|recommender",
                "What to fit; DATA of a recommender is a log.",
                default="autoencoder",
            ),
            Flag("--labels COLUMN|FILE", f"Classes to draw rows of, for vae: {LABELS}; a named set brings its own."),
            Flag("--clean CLEAN", "DATA without its noise, row by row: what the model is to give."),
            Flag("--patches N", "Of a folder of photographs take 10,000 random squares of N x N pixels.", int, least=1),
            ITEMS,
            _switch("--stream", "Read the file as a stream, in bounded memory; done for big files anyway."),
            QUIET,
            AS_JSON,
            *constructor_flags("fit"),
        ),
        """Fit a model to DATA and save it.

        Option values are written as in Python, where words need no quotes: --network 'dense(hidden=(256, 128),
        activation=relu)', --corruption 'gaussian(0.3)'. A model's name in brackets, (vae), begins what is said of that
        model alone; detector, which narrows anomalies puts to use, has those that begin with (detector) and no others,
        and recommender those that begin with (recommender).
        """,
        READING,
    ),
    "encode": Verb(
        "apply:encode",
        (DATA, MODEL, OUT, DEVICE, AS_JSON),
        """Write the codes of the rows of DATA.

        A file with column names may have its columns in any order, and more of them than the model needs.
        """,
        READING,
    ),
    "decode": Verb(
        "apply:decode",
        (Flag("CODES", "A file of codes, as encode writes.", Path, REQUIRED), MODEL, OUT, DEVICE, AS_JSON),
        "Write the rows that CODES stand for.",
    ),
    "reconstruct": Verb(
        "apply:reconstruct",
        (DATA, MODEL, OUT, DEVICE, AS_JSON),
        """Write the rows of DATA as the model reconstructs them.

        Missing values are filled in, where the model was fitted with --missing mask. An OUT without an extension is a
        new folder of images, for a model of images: PNG files, or TIFF where these do not hold the values (floats,
        colours of 16 bits).
        """,
        READING,
    ),
    "denoise": Verb(
        "denoise:denoise",
        (
            Flag("IN", "A table, a named data set, an image, or a folder of them.", default=REQUIRED, parameter="data"),
            MODEL,
            Flag("--out -o OUT", "What to write, of the kind of IN; a folder must be new.", Path, REQUIRED),
            Flag("--clean CLEAN", "IN without its noise, of the same kind: measure against it."),
            Flag("--tile N", "Pixels of an image's side done at once [default: 512].", int, least=1),
            DEVICE,
            AS_JSON,
        ),
        """Take the noise away from IN, with a model fitted with --corruption or --clean.

        Images keep their size and depth. Of a folder each is done by itself, so that sizes may differ, and keeps its
        name; of a JPEG file it becomes PNG, which adds no loss of its own. With --clean, the noisy input and the result
        are held against the clean version: PSNR and SSIM of images (of a folder, the means over its images), PSNR and
        mean squared error of tables.
        """,
        READING,
    ),
    "score": Verb(
        "apply:score",
        (
            DATA,
            MODEL,
            Flag("--out -o OUT", "The file to write; without it a summary is printed.", Path),
            _switch("--per-feature", "The error of each value."),
            _switch("--elbo", "Of a variational model: how likely rows are, in nats, instead of errors."),
            DEVICE,
            AS_JSON,
        ),
        """Measure the reconstruction error of each row of DATA.

        The error of a row is the mean of its squared errors, in the data's units (in standard deviations of each column
        for a model with --scaling standard, which a vae has for tables by default). With --elbo it is the evidence
        lower bound of the row, and its two parts: higher is more like the data.
        """,
        READING,
    ),
    "anomalies": Verb(
        "anomalies:anomalies",
        (
            DATA,
            Flag("--model -m MODEL", "A fitted detector, to be used as it is.", Path),
            Flag("--train FILE", "Normal rows to fit a detector to, which then looks at DATA."),
            Flag(
                "--contamination FRACTION|auto|none",
                "The anomalies among the rows fitted to [default: auto, with --train none].",
            ),
            Flag("--method auto|neighbors|ranks|reconstruction", "What the score is, or a list [default: auto]."),
            Flag("--n-neighbors INT|auto", "With how many rows each is compared [default: auto]."),
            Flag("--random-state INT", "Fixes the fit [default: 0].", int, least=0),
            Flag("--fdr FRACTION", "Flag rows of which at most this fraction is expected to be normal.", float),
            Flag("--rate FRACTION", "Flag what this fraction of normal rows would reach: 0.01, say.", float),
            Flag("--top N", "Flag the N most anomalous rows, whatever they are.", int, least=1),
            Flag("--out -o OUT", "Write a line for each row: .csv, .tsv or .parquet; else a summary.", Path),
            _switch("--explain-all", "In OUT name the columns of the attribution also for rows that are not flagged."),
            Flag("--report PAGE.html", "Write what was found as a page with pictures.", Path),
            Flag("--save MODEL", "Keep the fitted detector, for -m.", Path),
            DEVICE,
            AS_JSON,
        ),
        """Find the anomalies among the rows of DATA, and the columns that make them so.

        Without -m and --train the detector is fitted to DATA itself, whose anomalies are among its rows. DATA may have
        columns of text and missing cells. Rows are flagged by the detector's own threshold, or as one of --fdr, --rate
        and --top says. Scores are in standard deviations of normal rows: about 0 for a typical one. A p-value is the
        fraction of the rows of the fit that are as anomalous.
        """,
        READING,
    ),
    "recommend": Verb(
        "recommend.recommend:recommend",
        (
            RATINGS,
            Flag("--user -u ID,...", "Whom to recommend to; may be given several times.", list[str]),
            Flag("--history ITEMS", "Someone's items, by title or id, as in 'Toy Story (1995)::5, Heat (1995)::4'."),
            _switch("--all", "Recommend to all users of RATINGS, into -o.", parameter="everyone"),
            Flag("-k N", "How many items each.", int, 10, 1),
            ITEMS,
            Flag("--model -m MODEL", "A fitted recommender; RATINGS then only tells who has what.", Path),
            RECOMMENDER,
            _switch("--include-seen", "Recommend also what someone has already."),
            Flag("--among FILE", "Recommend only items in a column of this table.", Path),
            Flag("--exclude ITEMS", "Never recommend these, by title or id."),
            *LOG_COLUMNS,
            Flag("--out -o OUT", "Write the lists as a table: .csv, .tsv or .parquet.", Path),
            Flag("--save MODEL", "Keep the fitted recommender, for -m.", Path),
            _seed("Fixes the fit [default: 0]."),
            DEVICE,
            AS_JSON,
        ),
        """Recommend items to users of RATINGS, or to anyone with a history.

        A recommender is fitted to RATINGS, unless -m names one. Who has no history gets what is popular. Columns are
        found by their usual names (userId, movie_id, stars, ...). Where there are ratings, what was rated the mean or
        more counts as positive, and the rating that is predicted stands beside each item, for up to 1,000 users.
        """,
    ),
    "evaluate": Verb(
        "recommend.evaluate:evaluate",
        (
            RATINGS,
            Flag(
                "--split users|last|random",
                "A fifth of the users, the last item of each, or a tenth of all [default: users].",
            ),
            RECOMMENDER,
            Flag("--metrics NAME,...", "What to measure, as in ndcg@100,recall@20,rmse [default: nine]."),
            Flag("--model -m MODEL", "A fitted recommender; RATINGS is then what was held out from it.", Path),
            Flag("--histories FILE", "Beside -m: a log of what the users of RATINGS had before."),
            *LOG_COLUMNS,
            Flag("--out -o OUT", "Write the table: .csv, .tsv or .json.", Path),
            _seed("Fixes what is held out, and the fit [default: 0]."),
            DEVICE,
            AS_JSON,
        ),
        """Measure recommendations on what was held out from RATINGS.

        A recommender is fitted to what is left, and measured beside popularity, item means and EASE; predicted ratings
        beside the biases of users and items, item means, and the zeros of a table in which unrated is 0. Users who are
        held out as a whole (--split users) are the honest test: a fifth of each one's items is held out, the others are
        folded in.
        """,
    ),
    "sample": Verb(
        "generate:sample",
        (
            GENERATOR,
            Flag("-n --n-samples N", "How many rows.", int, 64, 1),
            Flag(
                "--out -o OUT", "The table, picture (.png) or folder of images; without it some rows are printed.", Path
            ),
            Flag("--label LABEL", "The label that rows are to have."),
            Flag("--prior normal|mixture", "What codes are drawn from [default: the model's own]."),
            Flag(
                "--noise/--no-noise",
                "Whether values are drawn or means [default: drawn of tables, means of images].",
                bool,
            ),
            Flag("--random-state INT", "Fixes what is drawn.", int, least=0),
            DEVICE,
            AS_JSON,
        ),
        """Draw new rows from MODEL, like those it was fitted to.

        A table has the columns of the data, whole numbers as whole numbers and truth values as such, each column within
        the range that was seen. Of a model of images, an OUT that is a picture (.png, .jpg, .tif) shows all of them in
        a grid, and one without an extension is a new folder of images.
        """,
    ),
    "interpolate": Verb(
        "generate:interpolate",
        (
            GENERATOR,
            DATA,
            Flag("--from ROW", "The row of DATA to begin with; the first is 0.", int, REQUIRED, 0, parameter="start"),
            Flag("--to ROW", "The row of DATA to end with.", int, REQUIRED, 0, parameter="end"),
            Flag("--out -o OUT", "The table, the picture (.png) or the folder to write.", Path, REQUIRED),
            Flag("--steps N", "Rows in all, both ends included.", int, 10, 2),
            _switch("--spherical", "Go along a great circle of codes instead of a straight line."),
            Flag("--label LABEL", "For a model fitted with --conditional."),
            DEVICE,
            AS_JSON,
        ),
        """Write the rows on the way from one row of DATA to another, by equal steps between their codes.

        Both ends are the rows as MODEL reconstructs them, and all are means, so that whole numbers are not kept to. OUT
        is as of sample; a picture shows one image beside the other.
        """,
        READING,
    ),
    "compare": Verb(
        "compare:compare",
        (
            DATA,
            Flag("--n-components K,K,...", "Sizes of the code.", default="2,4,8,16,32,64"),
            Flag("--labels COLUMN|FILE", f"Classes to judge codes by: {LABELS}."),
            _switch("--ordered", "Fit one ordered autoencoder for all sizes, instead of one for each."),
            Flag("--scaling common|standard", "standard weighs all columns alike.", default="common"),
            Flag("--max-epochs", "Limit on the autoencoder's passes over the rows.", int, least=1),
            Flag("--report PAGE.html", "Write all of it as a page with pictures.", Path),
            Flag("--plot PICTURE", "Write the curves as .png, .svg or .pdf.", Path),
            Flag("--out -o TABLE.csv", "Write the numbers as a table.", Path),
            _seed("Fixes everything random.", 0),
            AS_JSON,
        ),
        """Hold an autoencoder against PCA and a linear autoencoder on DATA, and say whether it is worth it.

        All is measured on rows held out: of a named data set its test rows, otherwise a fifth.
        """,
        READING,
    ),
    "compress": Verb(
        "codec.compress:compress",
        (
            Flag("IN", "A file, a folder of images, or a named data set.", default=REQUIRED, parameter="data"),
            CODEC,
            Flag("--out -o OUT", "The compressed file to write, usually .nrw.", Path, REQUIRED),
            COLUMNS,
            AS_JSON,
        ),
        """Compress IN with a codec that was fitted to data like it.

        IN has the columns of the fit, or pictures of its size. Rows unlike those of the fit take more room, and come
        back all the same. A .csv, .tsv, .parquet or .npy file is read in pieces, however big it is. To restore it, the
        codec is needed: keep it.
        """,
    ),
    "decompress": Verb(
        "codec.compress:decompress",
        (
            Flag("IN", "What narrows compress wrote.", Path, REQUIRED, parameter="data"),
            CODEC,
            Flag("--out -o OUT", "The file to write: .npy, .npz, .csv, .tsv or .parquet.", Path, REQUIRED),
            Flag("--rows FROM:TO", "Only these rows, TO not among them; the first is 0, -1 the last."),
            _switch("--skip-damaged", "Leave the rows of damaged blocks out instead of stopping."),
            AS_JSON,
        ),
        """Restore what was compressed, with the codec that it was compressed with.

        Of some rows only the blocks that they are in are read. An .npy file keeps the type and the shape of an array;
        tables keep the names of columns.
        """,
    ),
    "info": Verb(
        "info:info",
        (Flag("MODEL", "The model file that fit wrote; of DATA as describe.", Path, REQUIRED), AS_JSON),
        """Say what a model file holds.

        Sizes, the options that differ from the defaults, how it compares with PCA, how it was trained; of a variational
        model also its likelihood, what new rows are drawn from, and its labels; of a detector its threshold, and what
        its p-values compare with; of a recommender its items, what ranks them, and why; of a codec what it is worth.
        """,
        READING,
    ),
    "describe": Verb(
        "info:describe",
        (DATA, AS_JSON),
        """Say what the columns of DATA are taken for, and why.

        Numbers, whole numbers, truth values, categories and dates are what models learn from. Identifiers, an index,
        free text and times that only order the rows are left out, and stand beside what is made of the rows. --kinds
        says otherwise: --kinds zip=category,when=datetime. The model keeps what was decided.
        """,
        READING,
    ),
    "datasets": Verb(
        "datasets:datasets",
        (AS_JSON,),
        """List the named data sets.

        Sizes, licences, and where each is or would come from; rows first, then logs of users and items.
        """,
    ),
}

CODEC_HELP = "Fit a codec, which compresses data like that of its fit, and look into codecs and compressed files."

CODEC_VERBS = {
    "fit": Verb(
        "codec.fit:fit",
        (
            DATA,
            Flag("--out -o CODEC", "The codec file to write.", Path, REQUIRED),
            COLUMNS,
            QUIET,
            AS_JSON,
            *constructor_flags("codec fit"),
        ),
        """Fit a codec to DATA, which then compresses data like it, and save it.

        Pictures of eight bits, and tables of whole numbers, categories, text and decimals come back bit for bit. What
        it is worth is measured on rows that are held out: bits per value, against general compressors on the same rows,
        and after how many rows the codec's own file has paid for itself.
        """,
    ),
    "info": Verb(
        "codec.info:info",
        (
            Flag("FILE", "A codec, or a compressed file.", Path, REQUIRED),
            Flag("--plot OUT.png", "Draw size against error, of a codec with --code-only.", Path),
            AS_JSON,
        ),
        """Say what a codec is worth, or what is in a compressed file.

        Of a codec its bits per value on held-out rows against general compressors, its own size, and after how many
        rows it pays; with --code-only what the error would be at other sizes. Of a compressed file, for which the codec
        is not needed, what it holds and how small it is.
        """,
    ),
    "verify": Verb(
        "codec.compress:verify",
        (
            Flag("FILE", "What narrows compress wrote.", Path, REQUIRED, parameter="data"),
            CODEC,
            AS_JSON,
        ),
        """Restore all of FILE without writing it, and compare every checksum.

        Names each damaged block and its rows. The exit code is 0 if the file is whole, 1 if blocks are damaged, and 2
        if it cannot be read at all: truncated, foreign, or made with another codec.
        """,
    ),
}
