"""What converters do to weights, undone while they are read: b as a's names and layout have it."""

from netdistance.pairing.conversions.base import Match as Match
from netdistance.pairing.conversions.deciding import FITS as FITS
from netdistance.pairing.conversions.finding import CONVERSIONS as CONVERSIONS
from netdistance.pairing.conversions.finding import Conversions as Conversions
from netdistance.pairing.conversions.finding import converted as converted
from netdistance.pairing.conversions.finding import suggest_conversions as suggest_conversions
