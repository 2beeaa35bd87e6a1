"""The rules of `LimitStore`, as a suite: a store passes by subclassing it with a `limits` fixture."""

import asyncio
from dataclasses import replace

import pytest

from chat.errors import VersionConflict
from chat.store.limit_store import EVERYBODY, NONCES, Account, LimitStore, Override, Spent


async def saved(limits: LimitStore, nonce: str = "n", user_id: str = "ann", **fields: object) -> Account:
    before = await limits.load_account(user_id)
    return await limits.save_account(before, replace(before, **fields), nonce)  # type: ignore[arg-type]


class LimitStoreContract:
    async def test_a_user_who_is_not_known_has_used_nothing(self, limits: LimitStore) -> None:
        assert await limits.load_account("ann") == Account("ann")

    async def test_an_account_is_read_back_as_it_was_saved(self, limits: LimitStore) -> None:
        spent = {"20261120": Spent(3, 2**40), "20261121": Spent(0, 7)}
        account = await saved(
            limits, left=3.25, at=1_763_712_000.5, spent=spent, override=Override(5, 1.5, 2**40)
        )
        assert await limits.load_account("ann") == account
        assert (account.left, account.spent, account.override.per_seconds) == (3.25, spent, 1.5)

    async def test_a_limit_that_is_set_to_none_is_read_back_as_the_default(self, limits: LimitStore) -> None:
        await saved(limits, "1", override=Override(5, 1.5, 10))
        await saved(limits, "2", override=Override(None, None, 0))
        assert (await limits.load_account("ann")).override == Override(None, None, 0)

    async def test_days_that_are_left_out_are_removed(self, limits: LimitStore) -> None:
        await saved(limits, "1", spent={"20261119": Spent(1), "20261120": Spent(2)})
        await saved(limits, "2", spent={"20261120": Spent(3)})
        assert (await limits.load_account("ann")).spent == {"20261120": Spent(3)}

    async def test_what_changed_meanwhile_is_not_overwritten(self, limits: LimitStore) -> None:
        before = await saved(limits, "1", left=3.0, at=1.0)
        await limits.save_account(before, replace(before, left=2.0), "2")
        with pytest.raises(VersionConflict):
            await limits.save_account(before, replace(before, left=1.0), "3")
        assert (await limits.load_account("ann")).left == 2.0

    async def test_of_two_who_are_first_one_is(self, limits: LimitStore) -> None:
        new = Account("ann")
        outcomes = await asyncio.gather(
            *(limits.save_account(new, replace(new, left=float(n), at=1.0), str(n)) for n in range(5)),
            return_exceptions=True,
        )
        assert sum(isinstance(each, Account) for each in outcomes) == 1
        assert sum(isinstance(each, VersionConflict) for each in outcomes) == 4

    async def test_the_newest_changes_are_remembered(self, limits: LimitStore) -> None:
        for number in range(NONCES + 2):
            await saved(limits, f"n{number}", left=1.0, at=1.0)
        nonces = (await limits.load_account("ann")).nonces
        assert nonces == tuple(f"n{number}" for number in range(2, NONCES + 2))

    @pytest.mark.parametrize("user_id", ["a/b\\c#d?e%f+g", "all", "\ue100all", "Zoë O'Neil", "/" * 255])
    async def test_any_user_has_an_account_of_their_own(self, limits: LimitStore, user_id: str) -> None:
        await saved(limits, user_id=EVERYBODY, spent={"20261120": Spent(9)})
        await saved(limits, user_id=user_id, spent={"20261120": Spent(1)})
        assert (await limits.load_account(user_id)).spent == {"20261120": Spent(1)}
        assert (await limits.load_account(EVERYBODY)).spent == {"20261120": Spent(9)}
