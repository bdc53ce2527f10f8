//! Whose password is checked next: clients take turns, so that a crowd of one client's requests waits behind itself and
//! not in front of everybody else.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use conclave_proto::forwarded::visitor;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Requests of one client; those without a known address are one client.
type Client = Option<IpAddr>;

/// The turns: so many at once, and a queue with a share for each client.
#[derive(Clone)]
pub struct Turns(Arc<Mutex<Queue>>);

struct Queue {
    free: usize,
    most_waiting: usize,
    waiting: usize,
    /// Who waits, by client, the oldest request first; no client without requests.
    clients: HashMap<Client, VecDeque<oneshot::Sender<Turn>>>,
    /// The clients in the order of their turns; each stands here once.
    order: VecDeque<Client>,
}

/// The right to check one password; the next one begins when it is dropped.
pub struct Turn(Turns);

impl Turns {
    /// So many at once, and at most so many that wait.
    pub fn new(at_once: usize, most_waiting: usize) -> Self {
        let (clients, order) = (HashMap::new(), VecDeque::new());
        Self(Arc::new(Mutex::new(Queue { free: at_once, most_waiting, waiting: 0, clients, order })))
    }

    /// A place in the queue; the turn comes through it. None if the queue is full and this client has its share. It
    /// ends without a turn where another client, with less than its share, takes the place.
    pub fn take_place(&self, client: Client) -> Option<oneshot::Receiver<Turn>> {
        let client = client.map(visitor);
        let (sender, receiver) = oneshot::channel();
        let mut queue = self.0.lock();
        queue.forget_gone();
        if queue.waiting >= queue.most_waiting && !queue.make_room(client) {
            return None;
        }
        queue.push(client, sender);
        drop(queue);
        self.give();
        Some(receiver)
    }

    /// Gives free turns to those who wait.
    fn give(&self) {
        loop {
            let mut queue = self.0.lock();
            if queue.free == 0 {
                return;
            }
            let Some(next) = queue.pop() else { return };
            queue.free -= 1;
            // A turn that is not taken gives itself back, which takes the lock.
            drop(queue);
            drop(next.send(Turn(self.clone())));
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.0.lock().free += 1;
        self.0.give();
    }
}

impl Queue {
    fn push(&mut self, client: Client, request: oneshot::Sender<Turn>) {
        let requests = self.clients.entry(client).or_default();
        if requests.is_empty() {
            self.order.push_back(client);
        }
        requests.push_back(request);
        self.waiting += 1;
    }

    /// The oldest request of the client whose turn it is; that client is the last one then.
    fn pop(&mut self) -> Option<oneshot::Sender<Turn>> {
        let client = self.order.pop_front()?;
        let requests = self.clients.get_mut(&client)?;
        let request = requests.pop_front();
        if requests.is_empty() {
            self.clients.remove(&client);
        } else {
            self.order.push_back(client);
        }
        self.waiting -= usize::from(request.is_some());
        request
    }

    /// Takes the newest place of the client with the most, if that one has more than this one would have then.
    fn make_room(&mut self, newcomer: Client) -> bool {
        let own = self.clients.get(&newcomer).map_or(0, VecDeque::len);
        let Some(biggest) = self.clients.values_mut().max_by_key(|requests| requests.len()) else { return false };
        if biggest.len() <= own + 1 {
            return false;
        }
        biggest.pop_back();
        self.waiting -= 1;
        true
    }

    /// Those who hung up, or waited long enough, hold no places.
    fn forget_gone(&mut self) {
        for requests in self.clients.values_mut() {
            requests.retain(|request| !request.is_closed());
        }
        self.clients.retain(|_, requests| !requests.is_empty());
        let Self { order, clients, .. } = self;
        order.retain(|client| clients.contains_key(client));
        self.waiting = self.clients.values().map(VecDeque::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;

    fn client(number: u8) -> Client {
        Some(IpAddr::from([192, 0, 2, number]))
    }

    #[test]
    fn p10_password_share_clients_take_turns() {
        let turns = Turns::new(1, 64);
        let mut first = turns.take_place(client(1)).expect("room");
        let running = first.try_recv().expect("the first turn is free");
        let mut crowd: Vec<_> = (0..40).map(|_| turns.take_place(client(1)).expect("room")).collect();
        let mut other = turns.take_place(client(2)).expect("room");
        drop(running);
        let second = crowd[0].try_recv().expect("the oldest one");
        assert_eq!(other.try_recv().err(), Some(TryRecvError::Empty));
        drop(second);
        assert!(other.try_recv().is_ok(), "after one of the crowd, not after all of it");
    }

    #[test]
    fn p10_password_share_a_full_queue_has_room_for_a_client_with_less() {
        let turns = Turns::new(1, 64);
        let mut first = turns.take_place(client(1)).expect("room");
        let running = first.try_recv().expect("the first turn is free");
        let mut crowd: Vec<_> = (0..80).filter_map(|_| turns.take_place(client(1))).collect();
        assert_eq!(crowd.len(), 64, "the rest of the crowd is refused");
        let mut others: Vec<_> = (0..32).filter_map(|_| turns.take_place(client(2))).collect();
        assert_eq!(others.len(), 32, "half of the places for each of two");
        assert!(turns.take_place(client(2)).is_none() && turns.take_place(client(1)).is_none(), "and no more");
        let pushed = crowd.iter_mut().filter_map(|place| place.try_recv().err());
        assert_eq!(pushed.filter(|error| *error == TryRecvError::Closed).count(), 32);
        assert!(turns.take_place(None).is_some(), "a client without an address is one more");
        assert_eq!(others[0].try_recv().err(), Some(TryRecvError::Empty), "the oldest keep their places");
        drop(running);
    }

    #[test]
    fn p10_password_share_who_hung_up_holds_no_place_and_no_turn() {
        let turns = Turns::new(2, 4);
        let places: Vec<_> = (0..6).map(|number| turns.take_place(client(number)).expect("room")).collect();
        assert!(turns.take_place(client(9)).is_none(), "two have turns, four wait");
        drop(places);
        let mut held: Vec<_> = (0..6).map(|number| turns.take_place(client(number)).expect("room")).collect();
        // Each turn is given back at once, so that the next one comes.
        let taken = held.iter_mut().filter_map(|place| place.try_recv().ok()).count();
        assert_eq!((taken, turns.0.lock().free), (6, 2));
    }

    #[test]
    fn one_network_of_ipv6_is_one_client() {
        let turns = Turns::new(1, 2);
        let address = |text: &str| Some(text.parse().expect("an address"));
        let mut first = turns.take_place(address("2001:db8::1")).expect("room");
        let _running = first.try_recv().expect("free");
        let _crowd: Vec<_> = (0..2).map(|_| turns.take_place(address("2001:db8::2")).expect("room")).collect();
        assert!(turns.take_place(address("2001:db8::3")).is_none());
        assert!(turns.take_place(address("2001:db8:0:1::1")).is_some());
    }
}
