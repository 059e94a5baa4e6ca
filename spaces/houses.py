"""Which third of the prices a house belongs to, told from its table and its photos: either alone, or both joined.

A CSV file holds a house a row: ``bedrooms, bathrooms, area, zipcode, price``, the file names of four photos, ``frontal,
bedroom, bathroom, kitchen``, relative to the file, and ``group``, which is the same for houses that share a photo (and
may be empty elsewhere): such houses are never split between training and test. Where there is no such column, this adds
it, calling ``houses.csv`` by the first house that has the same photo:

    import csv, hashlib, pathlib
    with open("houses.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    first = {}
    for number, row in enumerate(rows):
        photos = [hashlib.sha256(pathlib.Path(row[name]).read_bytes()).digest()
                  for name in ("frontal", "bedroom", "bathroom", "kitchen")]
        row["group"] = min(first.get(photo, number) for photo in photos)
        for photo in photos:
            first.setdefault(photo, row["group"])
    with open("houses_grouped.csv", "w", newline="") as file:
        out = csv.DictWriter(file, rows[0])
        out.writeheader()
        out.writerows(rows)

Run it, save the two networks that were trained alone, and go on for longer:

    hpsearch run spaces/houses.py --for 4h --data-dir DATA
    hpsearch save table_alone DATA/table_alone.keras --study houses
    hpsearch save photo_alone DATA/photo_alone.keras --study houses
    hpsearch run spaces/houses.py --for 5h --data-dir DATA

The second run trains ``joined_trained`` from these files; the first leaves it out. What ``export-best`` writes would
not do: it was trained on the validation part, too.
"""

from hpsearch import (
    Adam,
    Branch,
    Concat,
    ConvNet,
    Dense,
    Model,
    Pretrained,
    Recipe,
    Space,
    Stage,
    Table,
    Tiled,
    Training,
    between,
    one_of,
    repeat,
)

ALL_FOUR = Tiled("frontal", "bedroom", "bathroom", "kitchen")

data = Table(
    "houses_grouped.csv",
    label="price",
    cuts=(385_000, 630_000),
    numeric=("bedrooms", "bathrooms", "area"),
    categorical=("zipcode",),
    images=("frontal", "bedroom", "bathroom", "kitchen"),
    size=32,
    group="group",
    validation=0.2,
)

table = Branch(dense=repeat(Dense(units=one_of(4, 8, 16, 32), dropout=between(0.0, 0.5, step=0.1)), between(1, 2)))

photo = Branch(
    input=one_of("frontal", "bedroom", "bathroom", "kitchen", ALL_FOUR),
    body=ConvNet(
        stages=repeat(Stage(filters=one_of(8, 16, 32, 64)), between(2, 3)),
        batchnorm=one_of(None, "after_activation"),
        dropout=between(0.0, 0.5, step=0.1),
    ),
    pooling=one_of("flatten", "average"),
    dense=repeat(Dense(units=one_of(4, 8, 16)), between(0, 1)),
)

search = Recipe(
    model=Model(
        body=one_of(
            table=Concat(table=table),
            photo=Concat(photo=photo),
            both=Concat(table=table, photo=photo),
        ),
        dense=repeat(Dense(units=one_of(4, 8, 16, 32)), between(0, 1)),
    ),
    training=Training(
        epochs=60,
        early_stopping=12,
        batch_size=one_of(8, 16, 32),
        optimizer=Adam(learning_rate=between(1e-4, 1e-2, log=True)),
    ),
)

mlp = Branch(dense=[Dense(units=8), Dense(units=4)])


def cnn(seen):
    """Three stages that look at one photo, or at four as one picture."""
    return Branch(
        input=seen,
        body=ConvNet(stages=[Stage(filters=16), Stage(filters=32), Stage(filters=64)], batchnorm="after_activation"),
        dense=[Dense(units=16)],
    )


def by_hand(body):
    """What the hand-made networks share."""
    return Recipe(
        model=Model(body=body, dense=[Dense(units=4)]),
        training=Training(epochs=60, early_stopping=12, batch_size=8, optimizer=Adam(learning_rate=0.001)),
    )


# What table_alone and photo_alone have learned, up to where "joined" joins them. It stays as it is; the rest learns.
trained_table = Branch(input="table", body=Pretrained("table_alone.keras", until="table_dense2"))
trained_photo = Branch(input="frontal", body=Pretrained("photo_alone.keras", until="photo_dense1"))

space = Space(
    data=data,
    search=search,
    baselines={
        "table_alone": by_hand(Concat(table=mlp)),
        "photo_alone": by_hand(Concat(photo=cnn("frontal"))),
        "joined": by_hand(Concat(table=mlp, photo=cnn("frontal"))),
        "joined_trained": by_hand(Concat(table=trained_table, photo=trained_photo)),
        "joined_four_photos": by_hand(Concat(table=mlp, photo=cnn(ALL_FOUR))),
    },
    objective="max val_accuracy",
)
