"""Reports of bad events, which are no complaints, and complaints that sound like them. Written by hand, of made-up companies.

Kind, text, whether a person complains.
"""

from __future__ import annotations

from typing import Final

LINK: Final = " https://news.example/a1"

REPORTS: Final[tuple[tuple[str, str], ...]] = (
    ("article", "Acme recalls 40,000 kettles after fires"),
    ("article", "Fire at Acme warehouse injures three workers"),
    ("article", "Acme shares fall 12% after weak quarter"),
    ("article", "Data breach at Acme exposes two million customers"),
    ("article", "Acme to cut 900 jobs as sales collapse"),
    ("article", "Acme fined $20m over misleading adverts"),
    ("article", "Two killed in crash involving Acme van"),
    ("article", "Acme outage leaves thousands without internet"),
    ("article", "Regulator sues Acme over hidden fees"),
    ("article", "Strike at Acme enters second week, flights cancelled"),
    ("article", "Acme chief resigns amid fraud investigation"),
    ("article", "Hackers steal customer data from Acme, company confirms"),
    ("post", "Acme recalls 40,000 kettles after fires" + LINK),
    ("post", "BREAKING: explosion at Acme plant, several injured" + LINK),
    ("post", "Acme outage: internet down across the north, engineers working on it" + LINK),
    ("post", "Lawsuit against Acme alleges it ignored deadly defect" + LINK),
    ("post", "Acme loses court case over unpaid overtime" + LINK),
    ("post", "Acme warns of lower profit, shares plunge" + LINK),
    ("article", "Rückruf bei Acme: Brandgefahr bei 40.000 Wasserkochern"),
    ("article", "Streik bei Acme: Hunderte Flüge fallen aus"),
    ("article", "Acme despide a 900 trabajadores por la caída de las ventas"),
    ("article", "Incendie dans un entrepôt d'Acme, trois blessés"),
    ("article", "Acme, multa da venti milioni per pubblicità ingannevole"),
    ("article", "Acme demite 900 funcionários após queda nas vendas"),
)

COMPLAINTS: Final[tuple[tuple[str, str], ...]] = (
    ("post", "My Acme kettle caught fire and nobody answers my emails, this is dangerous"),
    ("post", "Acme outage again, I am so sick of this terrible company"),
    ("post", "Acme leaked my data and did not even tell me. Disgusting" + LINK),
    ("post", "@acme your strike ruined my holiday, I want my money back"),
    ("post", "Acme cancelled our flight and left us stranded, worst airline ever" + LINK),
    ("comment", "I was charged hidden fees by Acme too, total scam"),
    ("post", "Acme hat meinen Flug gestrichen und niemand hilft mir, unverschämt"),
    ("article", "Two months without internet: my experience with Acme was terrible"),
    ("article", "Acme support is the worst, awful, horrible, avoid this scam"),
    ("article", "Acme hat mich betrogen, eine Katastrophe"),
    ("post", "Acme me robó, nadie responde, una vergüenza"),
)
