"""Every error that Parley raises on purpose, and what each looks like from outside.

ChatError (500)
  RequestError (400)        InvalidBody 400 (NotAnObject), ValidationError 422, KeyReused 422, TooLarge 413,
                            EncodedBody 415, WithFiles 415, MethodNotAllowed 405, SlowBody 408, AddressTooLong 414,
                            HeadersTooLarge 431
  AuthError (401)           Unauthenticated 401, CredentialEnded 401, Forbidden 403
  NotFound (404)            SessionNotFound, MessageNotFound, TurnNotFound, InvitationNotFound, KeyNotFound, NoPlaces;
                            EventsGone 410
  Conflict (409)            TurnInProgress (QueueFull), SessionInactive, StillWaiting, TooManyInvitations, TooManyKeys,
                            RequestInProgress, ShownOnce, VersionConflict
  LimitReached (429)        TooManyConnections, RateLimited, BudgetSpent
  ProviderError (502)       BadProviderReply (NoAnswer), ContentFiltered, AnswerTooLarge, ToolLimitReached,
                            ProviderRejected (ModelNotFound),
                            ProviderAuthFailed, ProviderUnavailable 503, ProviderTimeout 504 (ProviderSilent),
                            ProviderRateLimited 429
  StoreError (503)          StoreUnavailable 503, StoreConflict 503, StoreRefused 500
  PushError (503)           PushRefused
  SignInUnavailable (503)
  Misconfigured (503)
  ShuttingDown (503)        Interrupted (503, only as the end of a turn)    TurnTimedOut (504, likewise)

One object has three faces: before the first event an HTTP problem (protocol section 1), after it a `TurnFailed`,
always a log line. What is not a `ChatError` is shown as `INTERNAL` and its text goes to the log alone.
"""

from chat.errors.base import ChatError as ChatError
from chat.errors.base import error_name as error_name
from chat.errors.callers import AddressTooLong as AddressTooLong
from chat.errors.callers import AuthError as AuthError
from chat.errors.callers import BudgetSpent as BudgetSpent
from chat.errors.callers import Conflict as Conflict
from chat.errors.callers import CredentialEnded as CredentialEnded
from chat.errors.callers import EncodedBody as EncodedBody
from chat.errors.callers import EventsGone as EventsGone
from chat.errors.callers import Forbidden as Forbidden
from chat.errors.callers import HeadersTooLarge as HeadersTooLarge
from chat.errors.callers import InvalidBody as InvalidBody
from chat.errors.callers import InvitationNotFound as InvitationNotFound
from chat.errors.callers import KeyNotFound as KeyNotFound
from chat.errors.callers import KeyReused as KeyReused
from chat.errors.callers import LimitReached as LimitReached
from chat.errors.callers import MessageNotFound as MessageNotFound
from chat.errors.callers import MethodNotAllowed as MethodNotAllowed
from chat.errors.callers import NoPlaces as NoPlaces
from chat.errors.callers import NotAnObject as NotAnObject
from chat.errors.callers import NotFound as NotFound
from chat.errors.callers import QueueFull as QueueFull
from chat.errors.callers import RateLimited as RateLimited
from chat.errors.callers import RequestError as RequestError
from chat.errors.callers import RequestInProgress as RequestInProgress
from chat.errors.callers import SessionInactive as SessionInactive
from chat.errors.callers import SessionNotFound as SessionNotFound
from chat.errors.callers import ShownOnce as ShownOnce
from chat.errors.callers import SlowBody as SlowBody
from chat.errors.callers import StillWaiting as StillWaiting
from chat.errors.callers import TooLarge as TooLarge
from chat.errors.callers import TooManyConnections as TooManyConnections
from chat.errors.callers import TooManyInvitations as TooManyInvitations
from chat.errors.callers import TooManyKeys as TooManyKeys
from chat.errors.callers import TurnInProgress as TurnInProgress
from chat.errors.callers import TurnNotFound as TurnNotFound
from chat.errors.callers import Unauthenticated as Unauthenticated
from chat.errors.callers import ValidationError as ValidationError
from chat.errors.callers import VersionConflict as VersionConflict
from chat.errors.callers import WithFiles as WithFiles
from chat.errors.services import AnswerTooLarge as AnswerTooLarge
from chat.errors.services import BadProviderReply as BadProviderReply
from chat.errors.services import ContentFiltered as ContentFiltered
from chat.errors.services import Interrupted as Interrupted
from chat.errors.services import Misconfigured as Misconfigured
from chat.errors.services import ModelNotFound as ModelNotFound
from chat.errors.services import NoAnswer as NoAnswer
from chat.errors.services import ProviderAuthFailed as ProviderAuthFailed
from chat.errors.services import ProviderError as ProviderError
from chat.errors.services import ProviderRateLimited as ProviderRateLimited
from chat.errors.services import ProviderRejected as ProviderRejected
from chat.errors.services import ProviderSilent as ProviderSilent
from chat.errors.services import ProviderTimeout as ProviderTimeout
from chat.errors.services import ProviderUnavailable as ProviderUnavailable
from chat.errors.services import PushError as PushError
from chat.errors.services import PushRefused as PushRefused
from chat.errors.services import ShuttingDown as ShuttingDown
from chat.errors.services import SignInUnavailable as SignInUnavailable
from chat.errors.services import StoreConflict as StoreConflict
from chat.errors.services import StoreError as StoreError
from chat.errors.services import StoreRefused as StoreRefused
from chat.errors.services import StoreUnavailable as StoreUnavailable
from chat.errors.services import ToolLimitReached as ToolLimitReached
from chat.errors.services import TurnTimedOut as TurnTimedOut
