-- Records each action, and closes the letters whose events are counted now. If a letter was closed
-- already by a replay, reading its record again is not recorded.
WITH done AS (
    SELECT a.letter, a.action, a.actor, a.result, a.event_id, a.detail, a.corrected
    FROM unnest($1, $2, $3, $4, $5, $6, $7)
        AS a (letter, action, actor, result, event_id, detail, corrected)
    JOIN dead_letters d ON d.id = a.letter
    WHERE a.action <> 'reread' OR d.state = 'open'
),
closed AS (
    UPDATE dead_letters d SET state = 'replayed', replayed_at = now()
    FROM done WHERE d.id = done.letter AND done.result IN ('counted', 'duplicate')
)
INSERT INTO dead_letter_actions (dead_letter_id, action, actor, result, event_id, detail, corrected)
SELECT letter, action, actor, result, event_id, detail, corrected FROM done
