"""Another engine deletes: PyIceberg, by a condition. Arguments: CATALOG_DB NAMESPACE.TABLE CONDITION"""
import sys

from pyiceberg.catalog import load_catalog

source, name, condition = sys.argv[1:]
load_catalog('arka', type='sql', uri='sqlite:///' + source).load_table(name).delete(condition)
