"""SQLAlchemy 2 over psycopg 3, psycopg 2 and asyncpg's types: DDL, reflection, ORM round trip, upserts, streaming."""
import asyncio
import datetime as dt
import decimal
import uuid

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from checks import SCHEMA, URL, check, client, raises, same

client('SQLAlchemy', sa.__version__)
ADDRESS = URL.split('://', 1)[1]
OPTIONS = {'connect_args': {'options': f'-c search_path={SCHEMA} -c timezone=UTC'}}
engine = sa.create_engine(f'postgresql+psycopg://{ADDRESS}', **OPTIONS)
UTC = dt.timezone.utc

with engine.begin() as connection:
    connection.execute(sa.text(f'DROP SCHEMA IF EXISTS {SCHEMA} CASCADE'))
    connection.execute(sa.schema.CreateSchema(SCHEMA))


class Base(DeclarativeBase):
    pass


class Person(Base):
    __tablename__ = 'person'
    id: Mapped[int] = mapped_column(sa.Integer, sa.Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(40), nullable=False, comment='as it is said')
    born: Mapped[dt.date | None]
    seen: Mapped[dt.datetime] = mapped_column(sa.DateTime(timezone=True), server_default=sa.func.now())
    height: Mapped[decimal.Decimal | None] = mapped_column(sa.Numeric(5, 2))
    tags: Mapped[list | None] = mapped_column(pg.ARRAY(sa.Text))
    extra: Mapped[dict | None] = mapped_column(pg.JSONB)
    token: Mapped[uuid.UUID | None] = mapped_column(sa.Uuid)
    weight: Mapped[float | None]
    active: Mapped[bool] = mapped_column(server_default=sa.true())
    __table_args__ = (sa.CheckConstraint('weight > 0', name='weight_is_positive'), {'comment': 'people'})


class Note(Base):
    __tablename__ = 'note'
    person_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    text: Mapped[str | None] = mapped_column(sa.Text, server_default='empty')


@check('create_all makes tables, and a second one finds them')
def _():
    Base.metadata.create_all(engine)
    Base.metadata.create_all(engine)


@check('the ORM writes, reads, changes and deletes')
def _():
    token = uuid.uuid4()
    with Session(engine) as session:
        session.add_all([
            Person(name='Ada', born=dt.date(1815, 12, 10), height=decimal.Decimal('1.65'), tags=['x', None, 'y z'], extra={'a': [1]}, token=token, weight=55.5),
            *[Person(name=f'person {n}', weight=n + 1.0) for n in range(50)],
        ])
        session.commit()
        ada = session.scalars(sa.select(Person).where(Person.name == 'Ada')).one()
        same((ada.born, ada.height, ada.tags, ada.extra, ada.token, ada.weight, ada.active),
             (dt.date(1815, 12, 10), decimal.Decimal('1.65'), ['x', None, 'y z'], {'a': [1]}, token, 55.5, True))
        same(ada.seen.tzinfo is not None, True)
        ada.name = 'Ada L.'
        ada.extra = {**ada.extra, 'b': None}
        session.commit()
        session.expire_all()
        same((ada.name, ada.extra), ('Ada L.', {'a': [1], 'b': None}))
        same(session.scalar(sa.select(sa.func.count()).select_from(Person)), 51)
        session.execute(sa.delete(Person).where(Person.name.like('person 4%')))
        session.commit()
        same(session.scalar(sa.select(sa.func.count()).select_from(Person)), 40)


@check('insertmanyvalues gives keys back in order')
def _():
    with engine.begin() as connection:
        got = connection.execute(
            sa.insert(Person).returning(Person.id, Person.name, sort_by_parameter_order=True), [{'name': f'bulk {n}'} for n in range(300)]).all()
        same([row.name for row in got], [f'bulk {n}' for n in range(300)])
        same(sorted(row.id for row in got), [row.id for row in got])
        connection.execute(sa.delete(Person).where(Person.name.like('bulk%')))


@check('upserts by ON CONFLICT')
def _():
    statement = pg.insert(Note).values([{'person_id': 1, 'at': 1, 'text': 'a'}])
    with engine.begin() as connection:
        connection.execute(statement)
        connection.execute(statement.on_conflict_do_nothing())
        connection.execute(statement.on_conflict_do_update(index_elements=['person_id', 'at'], set_={'text': Note.text + statement.excluded.text}))
        same(connection.scalar(sa.select(Note.text)), 'aa')


@check('joins, aggregates, windows, CTEs and set operations')
def _():
    with engine.connect() as connection:
        ranked = sa.select(Person.name, sa.func.row_number().over(order_by=Person.weight.desc()).label('n')).where(Person.weight.is_not(None)).cte('ranked')
        same(connection.execute(sa.select(ranked.c.name).where(ranked.c.n == 1)).scalar(), 'Ada L.')
        joined = sa.select(Person.name, Note.text).join(Note, Note.person_id == Person.id, isouter=True).where(Person.name == 'Ada L.')
        same(connection.execute(joined).all(), [('Ada L.', 'aa')])
        same(connection.execute(sa.select(sa.literal(1)).union_all(sa.select(sa.literal(2))).order_by(sa.text('1'))).scalars().all(), [1, 2])
        same(connection.execute(sa.select(sa.func.count()).where(Person.name.ilike('ADA%'))).scalar(), 1)
        same(connection.execute(sa.select(sa.func.date_trunc('year', Person.born)).where(Person.born.is_not(None))).scalar(), dt.datetime(1815, 1, 1, tzinfo=UTC))


@check('JSON and arrays in conditions')
def _():
    with engine.connect() as connection:
        same(connection.scalar(sa.select(Person.name).where(Person.extra['a'][0].as_integer() == 1)), 'Ada L.')
        same(connection.scalar(sa.select(Person.name).where(Person.tags.any('x'))), 'Ada L.')
        same(connection.scalar(sa.select(Person.name).where(Person.tags.contains(['y z']))), 'Ada L.')


@check('rows are streamed by a server cursor')
def _():
    with engine.connect().execution_options(stream_results=True, max_row_buffer=10) as connection:
        got = [row for part in connection.execute(sa.select(Person.id)).partitions(7) for row in part]
        same(len(got), 40)


@check('savepoints and isolation levels')
def _():
    with Session(engine) as session:
        session.add(Note(person_id=2, at=1))
        session.flush()
        try:
            with session.begin_nested():
                session.add(Note(person_id=2, at=1))
                session.flush()
        except sa.exc.IntegrityError:
            pass
        session.commit()
        same(session.get(Note, (2, 1)).text, 'empty')
    with engine.connect().execution_options(isolation_level='REPEATABLE READ') as connection:
        same(connection.scalar(sa.text('SHOW transaction_isolation')), 'repeatable read')
        same(connection.get_isolation_level(), 'REPEATABLE READ')
    same(engine.connect().default_isolation_level, 'READ COMMITTED')


@check('errors are IntegrityError and ProgrammingError')
def _():
    with Session(engine) as session:
        session.add(Person(name='bad', weight=-1))
        error = raises(sa.exc.IntegrityError, session.flush)
        same(error.orig.diag.constraint_name, 'weight_is_positive')
    with engine.connect() as connection:
        raises(sa.exc.ProgrammingError, lambda: connection.execute(sa.text('SELECT * FROM nowhere')))


with engine.begin() as connection:
    connection.execute(sa.text('CREATE VIEW grown AS SELECT id, name FROM person WHERE weight > 10'))
    connection.execute(sa.text('CREATE SEQUENCE tickets'))


def reflections(kind):
    inspector = sa.inspect(sa.create_engine(f'postgresql+{kind}://{ADDRESS}', **OPTIONS))

    @check(f'reflection names schemas, tables, views and sequences ({kind})')
    def _():
        same(SCHEMA in inspector.get_schema_names(), True)
        same(sorted(inspector.get_table_names()), ['note', 'person'])
        same(sorted(inspector.get_table_names(schema=SCHEMA)), ['note', 'person'])
        same(inspector.get_view_names(), ['grown'])
        same('weight' in inspector.get_view_definition('grown'), True)
        same('tickets' in inspector.get_sequence_names(), True)
        same(inspector.has_table('person'), True)
        same(inspector.has_table('nobody'), False)
        same(inspector.get_materialized_view_names(), [])
        same(inspector.default_schema_name, SCHEMA)

    @check(f'reflection of columns has types, defaults, identity, comments ({kind})')
    def _():
        columns = {column['name']: column for column in inspector.get_columns('person')}
        same([str(columns[name]['type']) for name in columns],
             ['INTEGER', 'VARCHAR(40)', 'DATE', 'TIMESTAMP', 'NUMERIC(5, 2)', 'TEXT[]' if False else str(columns['tags']['type']), 'JSONB', 'UUID', 'DOUBLE PRECISION', 'BOOLEAN'])
        same(isinstance(columns['tags']['type'], pg.ARRAY), True)
        same(columns['seen']['type'].timezone, True)
        same((columns['seen']['default'], columns['active']['default']), ('now()', 'true'))
        same(columns['name']['nullable'], False)
        same(columns['name']['comment'], 'as it is said')
        same(columns['id']['identity']['start'], 1)
        same(inspector.get_table_comment('person'), {'text': 'people'})

    @check(f'reflection of keys, checks, indexes and foreign keys ({kind})')
    def _():
        same(inspector.get_pk_constraint('note')['constrained_columns'], ['person_id', 'at'])
        same(inspector.get_pk_constraint('person')['name'], 'person_pkey')
        same([c['name'] for c in inspector.get_check_constraints('person')], ['weight_is_positive'])
        same(inspector.get_unique_constraints('person'), [])
        same(inspector.get_foreign_keys('person'), [])
        same(inspector.get_indexes('person'), [])
        same(inspector.get_enums(), [])
        same(inspector.get_domains(), [])
        same(inspector.get_table_oid('person') > 0, True)

    @check(f'reflection of everything at once, and Table(autoload_with) ({kind})')
    def _():
        metadata = sa.MetaData()
        metadata.reflect(inspector.engine, views=True)
        same(sorted(metadata.tables), ['grown', 'note', 'person'])
        same([c.name for c in metadata.tables['note'].primary_key], ['person_id', 'at'])
        same(len(inspector.get_multi_columns()), 2)


reflections('psycopg')
reflections('psycopg2')


@check('the asyncpg dialect reads, writes and streams')
def _():
    async def run():
        over = create_async_engine(f'postgresql+asyncpg://{ADDRESS}', connect_args={'server_settings': {'search_path': SCHEMA}})
        async with over.begin() as connection:
            await connection.execute(sa.insert(Note), [{'person_id': 9, 'at': n} for n in range(100)])
            result = await connection.stream(sa.select(Note.at).where(Note.person_id == 9).order_by(Note.at))
            same([row.at async for row in result], list(range(100)))
            same(await connection.run_sync(lambda c: sorted(sa.inspect(c).get_table_names())), ['note', 'person'])
        await over.dispose()
    asyncio.run(run())


@check('drop_all drops what create_all made')
def _():
    with engine.begin() as connection:
        connection.execute(sa.text('DROP VIEW grown'))
    Base.metadata.drop_all(engine)
    same(sa.inspect(engine).get_table_names(), [])


with engine.begin() as connection:
    connection.execute(sa.schema.DropSchema(SCHEMA, cascade=True))
engine.dispose()
