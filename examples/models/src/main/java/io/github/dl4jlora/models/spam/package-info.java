/** Is an e-mail spam? all-MiniLM-L6-v2, or another encoder, learns to tell, in four ways that are compared. */
package io.github.dl4jlora.models.spam;
